"""What a source brings, hashed while it is written and let in only when it is what was pinned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..core.digest import Tree
from ..errors import IntegrityError
from . import disk
from .hashing import CHUNK, Summing, Sums, sums_of
from .local import LocalStore

Progress = Callable[[int, int], None]


class StoreDelivery:
    """Files of `tree` on their way into `store`, by way of the folder `scratch`."""

    def __init__(self, store: LocalStore, tree: Tree, scratch: Path, progress: Progress) -> None:
        self._store, self._tree, self._scratch = store, tree, scratch
        self._progress, self._done = progress, 0

    def copy(self, path: str, source: Path) -> None:
        draft = self._scratch / "arriving"
        if disk.clone(source, draft):
            self._accept(path, draft, sums_of(draft))
            return
        draft.unlink(missing_ok=True)
        with source.open("rb") as reader:
            self.write(path, iter(lambda: reader.read(CHUNK), b""))

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        draft = self._scratch / "arriving"
        summing = Summing()
        with draft.open("wb") as writer:
            for chunk in self._watched(chunks):
                summing.update(chunk)
                writer.write(chunk)
        self._accept(path, draft, summing.sums())

    def _accept(self, path: str, draft: Path, sums: Sums) -> None:
        expected = self._tree.find(path)
        if expected is None:
            raise IntegrityError(f"`{path}` was not pinned, but the source brought it")
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
            self._done += len(chunk)
            self._progress(self._done, self._tree.size)
