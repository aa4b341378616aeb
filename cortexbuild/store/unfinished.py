"""Files of a step that is not finished yet, kept until it is.

They lie in `partial/<step key>/`, each beside a note of its sums that is written when the file is
whole and on the disk. The key says which inputs, settings and versions they are of, so what lies
there is what the next run of the step would write again; and it is read once more before it is
believed, since the run may have ended with the power.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.digest import Digest, File
from ..core.ports import Writable
from ..core.step import StepKey
from . import disk, drafts
from .blobs import Blobs
from .hashing import Summing, Sums, sums_of

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

NOTE = ".sums"


class Unfinished:
    """The `Output` (`core/ports.py`) of one run of a step, which holds the lock of its key.

    With `anew`, what earlier runs left is of no use.
    """

    def __init__(self, store: Blobs, key: StepKey, scratch: Path, *, anew: bool) -> None:
        self.scratch = scratch
        self._store = store
        self._folder = store.root / "partial" / key
        self._made: dict[str, Sums] = {}
        if anew:
            disk.remove(self._folder)

    @contextmanager
    def create(self, name: str) -> Iterator[Writable]:
        assert name == Path(name).name, "files of an output that is written so have no folders"
        disk.make_folder(self._folder)
        path, draft = self._folder / name, self.scratch / f"{name}.draft"
        try:
            with disk.writing(draft, "xb") as file:
                hashed = _Hashed(file)
                yield hashed
                disk.fsync(file)
            disk.rename(draft, path)
        finally:
            disk.unlink(draft)
        sums = hashed.sums()
        drafts.replace_text(self._folder / f"{name}{NOTE}", json.dumps(sums._asdict()))
        self._made[name] = sums

    def has(self, name: str) -> bool:
        """Reads the whole file when it is asked for the first time."""
        if name not in self._made and (sums := _noted(self._folder / f"{name}{NOTE}")):
            path = self._folder / name
            if path.is_file() and sums_of(path) == sums:
                self._made[name] = sums
        return name in self._made

    def take(self) -> list[File]:
        """Move the files that this run made or asked for into the store, and forget the others."""
        found = []
        for name, sums in self._made.items():
            self._store.add_file(self._folder / name, sums)
            found.append(File(name, sums.sha256, sums.size))
        disk.remove(self._folder)
        return found


class _Hashed:
    """Writes all that it is given, and sums it up."""

    def __init__(self, file: FileIO) -> None:
        self._file, self._summing = file, Summing()

    def write(self, content: Buffer) -> None:
        self._summing.update(memoryview(content).cast("B"))
        disk.write(self._file, content)

    def sums(self) -> Sums:
        return self._summing.sums()


def _noted(path: Path) -> Sums | None:
    try:
        noted = json.loads(path.read_text())
        return Sums(Digest(str(noted["sha256"])), str(noted["xxh3"]), int(noted["size"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
