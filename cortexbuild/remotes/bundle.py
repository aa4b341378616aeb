"""A set of results as one file, for machines that reach no network: a tar of a remote's names.

    bundle.json      how many records and contents follow
    ac/<key>         records, signed; all of them first, so that what follows can be weighed
    cas/<sha256>     contents that the records name

What is read is as little believed as a remote is. Nothing of a bundle is kept unless all of its
records are believed; a name, a size or a kind of member that no export writes ends the reading.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from ..core.digest import Digest, File
from ..core.remote import Moved
from ..core.step import StepKey, Trace
from ..errors import EXPORT_AGAIN, IntegrityError, StoreError, shown
from ..store import disk
from ..store.hashing import CHUNK, Summing
from ..store.local import LocalStore
from ..store.scratch import scratch
from ..store.traces import MOST, trace_to_text
from ..store.trouble import told
from .archive import DAMAGED, member_of, name_of, reading, writing
from .signing import SigningKey, is_signed, signed
from .tiers import weigh

HEAD, SCHEMA = "bundle.json", "cortexbuild/bundle/1"


@dataclass(frozen=True, slots=True)
class Bundled:
    """What a bundle has: `size` is of the contents, in bytes."""

    records: int
    contents: int
    size: int


def export(
    path: Path,
    parcels: Sequence[tuple[Trace, bool]],
    store: LocalStore,
    key: SigningKey,
    trusted: Mapping[str, bytes],
    moved: Moved,
) -> Bundled:
    """Write records, and the contents of those that are to be `whole`, to a file; compressed
    where its name ends in .zst. Raises IntegrityError when a content here is damaged."""
    files = {f.digest: f for trace, whole in parcels if whole for f in trace.tree.files}
    store.check_blobs(files.values())
    draft = path.with_name(f".{path.name}.part")
    try:
        with writing(draft, compressed=path.suffix == ".zst") as tar:
            head = {"schema": SCHEMA, "records": len(parcels), "contents": len(files)}
            said = json.dumps(head).encode()
            tar.addfile(member_of(HEAD, len(said)), io.BytesIO(said))
            for trace, _ in parcels:
                if trace.signatures and not is_signed(trace, trusted):
                    raise IntegrityError(
                        f"the record of {trace.label} is of somebody who is not trusted",
                        hint="build it here: `cortexbuild sync --force --replace`",
                    )
                vouched = trace if trace.signatures else signed(trace, key)
                text = trace_to_text(vouched).encode()
                tar.addfile(member_of(f"ac/{trace.key}", len(text)), io.BytesIO(text))
            for file in files.values():
                with store.blob(file.digest).open("rb") as content:
                    tar.addfile(member_of(f"cas/{file.digest}", file.size), content)
                moved(file.size)
        draft.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="name a file in a folder that is there, with room for it",
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return Bundled(len(parcels), len(files), sum(file.size for file in files.values()))


def bring_in(path: Path, store: LocalStore, trusted: Mapping[str, bytes], moved: Moved) -> Bundled:
    """Take what a bundle has into the store. Raises IntegrityError, and keeps nothing, when a
    record is not believed; contents that came before one that is damaged stay, being right."""
    try:
        with reading(path) as tar, scratch(store.root) as folder:
            head = _head(tar)
            arrived = _members(tar, store, trusted, folder, moved)
            if (len(arrived.traces), arrived.contents) != head:
                raise IntegrityError("it ends before its end", hint=EXPORT_AGAIN)
            for trace in arrived.traces:
                store.keep_trace(trace, folder)
    except (OSError, *DAMAGED) as error:
        if isinstance(error, OSError) and (known := told(error, str(store.root))):
            raise known from error
        why = shown(str(error))
        raise IntegrityError(
            f"{path} is no bundle, or is damaged: {why}", hint=EXPORT_AGAIN
        ) from error
    except IntegrityError as error:
        raise IntegrityError(f"{path}: {error}", hint=error.hint) from error
    return Bundled(len(arrived.traces), arrived.contents, arrived.size)


@dataclass(slots=True)
class _Arrived:
    traces: list[Trace] = field(default_factory=list)
    contents: int = 0
    size: int = 0


def _head(tar: tarfile.TarFile) -> tuple[int, int]:
    """How many records and contents follow."""
    member = tar.next()
    if member is None or member.name != HEAD or not member.isreg() or member.size > CHUNK:
        raise IntegrityError("it is no bundle", hint=EXPORT_AGAIN)
    try:
        head = json.loads(cast(IO[bytes], tar.extractfile(member)).read(member.size))
        if head["schema"] != SCHEMA:
            raise IntegrityError(
                f"it is a {str(head['schema'])[:40]}, and this program knows {SCHEMA}",
                hint="use the version of cortexbuild that wrote it",
            )
        return int(head["records"]), int(head["contents"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise IntegrityError("it is no bundle", hint=EXPORT_AGAIN) from error


def _members(
    tar: tarfile.TarFile,
    store: LocalStore,
    trusted: Mapping[str, bytes],
    folder: Path,
    moved: Moved,
) -> _Arrived:
    arrived, left = _Arrived(), dict[Digest, File]()
    while (member := tar.next()) is not None:
        area, name = name_of(member)
        content = cast(IO[bytes], tar.extractfile(member))
        if area == "cas":
            expected = left.pop(Digest(name), None)
            _take(expected, name, member.size, content, store, folder / name)
            arrived.contents += 1
            arrived.size += member.size
            moved(member.size)
        elif arrived.contents:
            raise IntegrityError("a record stands after the contents", hint=EXPORT_AGAIN)
        else:
            trace = _record(name, member.size, content, trusted)
            arrived.traces.append(trace)
            left |= {file.digest: file for file in trace.tree.files}
    return arrived


def _record(name: str, size: int, content: IO[bytes], trusted: Mapping[str, bytes]) -> Trace:
    if size > MOST:
        raise IntegrityError(f"ac/{name} is too long for a record", hint=EXPORT_AGAIN)
    text = content.read(size).decode(errors="replace")
    trace, why = weigh(text, StepKey(name), trusted, unsigned=False)
    if trace is None:
        raise IntegrityError(
            f"ac/{name[:12]} is {why}",
            hint="`cortexbuild keys trust NAME:KEY` if you know whose it is",
        )
    return trace


def _take(
    expected: File | None, name: str, size: int, content: IO[bytes], store: LocalStore, draft: Path
) -> None:
    if expected is None or expected.size != size:
        raise IntegrityError(
            f"cas/{name} ({size} bytes) is in none of its records", hint=EXPORT_AGAIN
        )
    summing = Summing()
    with disk.writing(draft) as file:
        while piece := content.read(CHUNK):
            summing.update(piece)
            disk.write(file, piece)
    sums = summing.sums()
    if (sums.sha256, sums.size) != (name, size):
        raise IntegrityError(f"cas/{name} is not what its name says", hint=EXPORT_AGAIN)
    store.add_file(draft, sums)
