"""A model's files, wherever they are: what detection asks of a folder, a snapshot, or a remote."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ..errors import IntegrityError, UsageError
from .files import shard_of
from .foreign import MAX_HEADER, parse_object, refuse


class Files(Protocol):
    """`sizes` are bytes by relative path. `open` gives a stream that may be read a little of."""

    @property
    def sizes(self) -> Mapping[str, int]: ...
    def open(self, path: str) -> BinaryIO: ...


@dataclass(frozen=True, slots=True)
class LocalFiles:
    root: Path
    sizes: Mapping[str, int]

    def open(self, path: str) -> BinaryIO:
        return (self.root / path).open("rb")


def local_files(path: Path) -> LocalFiles:
    """A folder with all below it, or one file with its sibling shards.

    Links to files count as files, as in the Hub's cache; links to folders are not followed.
    Raises UsageError when nothing is there, IntegrityError for a link that leads nowhere.
    """
    if path.is_dir():
        return LocalFiles(path, _sizes_below(path))
    if not path.is_file():
        raise UsageError(
            f"{path}: there is no such file or folder",
            hint="is the name right? It counts from the folder of cortex.yaml",
        )
    names = [path.name]
    if shard := shard_of(path.name):
        siblings = (shard.sibling(number) for number in range(1, shard.count + 1))
        names = [name for name in siblings if (path.parent / name).is_file()]
    return LocalFiles(path.parent, {name: (path.parent / name).stat().st_size for name in names})


def read_bytes(files: Files, path: str, limit: int) -> bytes:
    """The first `limit` bytes of a file, or all of it."""
    with files.open(path) as stream:
        # Room for all that is asked for is made before it is known how much there is.
        return stream.read(min(limit, files.sizes[path]))


def read_object(files: Files, path: str) -> dict[str, Any] | None:
    """The JSON object in a file; None when there is no such file."""
    size = files.sizes.get(path)
    if size is None:
        return None
    if size > MAX_HEADER:
        raise refuse(path, f"has {size} bytes, too many for a file of settings")
    return parse_object(read_bytes(files, path, MAX_HEADER), path, strict=False)


def _sizes_below(folder: Path) -> dict[str, int]:
    sizes = {}
    for here, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(here, name)
            relative = path.relative_to(folder).as_posix()
            try:
                found = path.stat()
            except OSError as error:
                hint = "fetch the model again"
                raise IntegrityError(f"{relative}: a link that leads nowhere", hint=hint) from error
            if not stat.S_ISREG(found.st_mode):
                what = "a pipe, a socket or a device, which has no end"
                raise refuse(relative, what, hint="take it out of the folder")
            sizes[relative] = found.st_size
    return sizes
