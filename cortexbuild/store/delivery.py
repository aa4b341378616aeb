"""What a source brings, hashed while it is written and let in only when it is what was pinned."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from threading import Lock

from ..core.digest import File, Tree
from ..errors import HOSTILE_NAMES, IntegrityError
from . import disk
from .hashing import Sums, sums_of, write_summed
from .ingest import copy_summed
from .local import LocalStore
from .locks import has_name, lock
from .together import together

Progress = Callable[[int, int], None]


class StoreDelivery:
    """Files of `tree` on their way into `store`, by way of the folder `scratch`."""

    def __init__(self, store: LocalStore, tree: Tree, scratch: Path, progress: Progress) -> None:
        self._store, self._scratch = store, scratch
        self._expected = {file.path: file for file in tree.files}
        self._progress, self._done, self._size = progress, 0, tree.size
        self._held: dict[Path, int] = {}
        self._telling = Lock()

    def copy(self, files: Mapping[str, Path]) -> None:
        drafts = [self._scratch / f"arriving-{number}" for number in range(len(files))]
        copies = together(self._copy, list(zip(files.values(), drafts, strict=True)))
        with closing(copies) as found:
            for path, draft, sums in zip(files, drafts, found, strict=True):
                self._accept(path, draft, sums)

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        draft = self._scratch / "arriving"
        self._accept(path, draft, write_summed(self._watched(chunks), draft))

    def link(self, path: str, source: Path) -> None:
        draft = self._scratch / "arriving"
        disk.unlink(draft)
        if not disk.share(source.resolve(), draft):
            self.copy({path: source})
            return
        sums = sums_of(draft)
        self._accept(path, draft, sums)
        self.moved(sums.size)

    def part(self, file: File) -> Path:
        """Held by this process alone; another that wants the same collects its own."""
        folder = self._store.root / "partial"
        disk.make_folder(folder)
        path = folder / f"{file.digest}.part"
        while True:
            handle = disk.handle(path)
            try:
                mine = lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                mine = False
            if mine and has_name(handle, path):
                self._held[path] = handle
                return path
            os.close(handle)
            if not mine:
                return self._scratch / path.name
            # Its last holder took it away between our two looks.

    def take(self, path: str, part: Path, sums: Sums | None = None) -> None:
        mine = self._scratch / f"{part.name}.whole"  # from here on nobody else sees it by name
        disk.rename(part, mine)
        if part in self._held:
            os.close(self._held.pop(part))
        try:
            self._accept(path, mine, sums or sums_of(mine))
        finally:
            disk.unlink(mine)

    def close(self) -> None:
        """Let go of files that were being collected; what came of them stays for the next try."""
        while self._held:
            os.close(self._held.popitem()[1])

    def moved(self, count: int) -> None:
        with self._telling:
            self._done += count
            self._progress(self._done, self._size)

    def _copy(self, from_to: tuple[Path, Path]) -> Sums:
        source, draft = from_to
        disk.unlink(draft)
        came = 0

        def watched(chunks: Iterable[bytes]) -> Iterator[bytes]:
            nonlocal came
            for chunk in self._watched(chunks):
                came += len(chunk)
                yield chunk

        sums = copy_summed(source, draft, watched)
        if came < sums.size:  # it came all at once
            self.moved(sums.size - came)
        return sums

    def _accept(self, path: str, draft: Path, sums: Sums) -> None:
        expected = self._expected.get(path)
        if expected is None:
            raise IntegrityError(
                f"`{path}` was not pinned, but the source brought it", hint=HOSTILE_NAMES
            )
        if (sums.sha256, sums.size) != (expected.digest, expected.size):
            raise IntegrityError(
                f"`{path}` is not what was pinned: expected sha256 {expected.digest[:12]} "
                f"({expected.size} bytes), got {sums.sha256[:12]} ({sums.size} bytes)",
                hint="run the same command again; if it stays so, the source has changed",
            )
        self._store.add_file(draft, sums)

    def _watched(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self.moved(len(chunk))
