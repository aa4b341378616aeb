"""A model in several files: all of them are there, and they agree with their index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ..errors import IntegrityError, brief
from .files import Weights, shard_of
from .foreign import refuse, shown
from .listing import Files, read_object
from .safetensors import header as safetensors

if TYPE_CHECKING:
    from .gguf import header as gguf

_FETCH_MISSING = "fetch the model again; the download is not complete"


@dataclass(frozen=True, slots=True)
class Merged:
    """The tensors of all shards. `metadata` is that of the first."""

    tensors: Mapping[str, safetensors.TensorInfo]
    metadata: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def read_safetensors(files: Files, weights: Weights) -> Merged:
    """Read the headers of a model. Raises IntegrityError when a shard is missing or disagrees."""
    check_shards(weights.files)
    listed = _weight_map(files, weights.index)
    _check_index(listed, weights, files)
    tensors: dict[str, safetensors.TensorInfo] = {}
    places: dict[str, str] = {}
    metadata: Mapping[str, str] = {}
    for number, path in enumerate(weights.files):
        with files.open(path) as stream:
            header = safetensors.read_header_from(stream, files.sizes[path], path)
        metadata = metadata if number else header.metadata
        for name in header.tensors:
            if other := places.get(name):
                raise refuse(path, f"{shown(name)} is in {other} too")
            places[name] = path
        tensors.update(header.tensors)
    unlisted = _compare(listed, places, weights.index)
    return Merged(tensors, metadata, unlisted)


def read_gguf(files: Files, paths: Sequence[str]) -> gguf.GgufHeader:
    """The header of a model whose shards are `paths`, with the tensors of all of them.

    Their offsets are those within each shard.
    """
    from .gguf import header as gguf  # of no use to most commands

    check_shards(paths)
    headers = []
    for path in paths:
        with files.open(path) as stream:
            headers.append(gguf.read_header_from(stream, files.sizes[path], path))
    first = headers[0]
    count = first.fields.get("split.count")
    if type(count) is int and count > 1 and count != len(paths):
        what = f"is one of {count} shards, and {len(paths)} are here"
        raise refuse(paths[0], what, hint=_FETCH_MISSING)
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise refuse(paths[0], "has a tensor that another of its shards has too")
    return replace(first, tensors=tensors)


def check_shards(paths: Sequence[str]) -> None:
    """Raises IntegrityError that names the first file missing of a set `-00001-of-00003`."""
    present = set(paths)
    shards = [shard for path in paths if (shard := shard_of(path))]
    for shard in {(shard.stem, shard.count): shard for shard in shards}.values():
        for number in range(1, shard.count + 1):
            if (name := shard.sibling(number)) not in present:
                raise _missing(name, f"the model has {shard.count} files of this kind")


def _weight_map(files: Files, index: str | None) -> Mapping[str, str] | None:
    table: dict[str, Any] = (read_object(files, index) or {}) if index else {}
    found = table.get("weight_map")
    if found is None:
        return None
    if not isinstance(found, dict) or not all(isinstance(path, str) for path in found.values()):
        raise refuse(str(index), "its `weight_map` is not a table of file names")
    return found


def _check_index(listed: Mapping[str, str] | None, weights: Weights, files: Files) -> None:
    for path in sorted(set(listed.values())) if listed else ():
        if path not in files.sizes:
            raise _missing(brief(PurePosixPath(path).name), f"{weights.index} lists it")
        if path not in weights.files:
            what = f"lists {shown(path)}, which is not one of the model's files"
            raise refuse(str(weights.index), what, hint="remove the index or the file left over")


def _compare(
    listed: Mapping[str, str] | None, places: Mapping[str, str], index: str | None
) -> tuple[str, ...]:
    if listed is None:
        return ()
    for name, path in listed.items():
        if places.get(name) != path:
            raise refuse(str(index), f"says that {shown(name)} is in {brief(path)}, and it is not")
    extra = len(places) - len(listed)
    return (f"{extra} tensors are not in {index}",) if extra else ()


def _missing(path: str, why: str) -> IntegrityError:
    return refuse(path, f"is missing; {why}", hint=_FETCH_MISSING)
