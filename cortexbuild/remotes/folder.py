"""A shared cache in a folder that many machines see: NFS, a mounted share, a USB disk.

A file gets its name by a link, after it is whole, so that no reader sees a part of one; the link
fails where the name is taken, so the first of two writers wins. A web server that serves this
folder is an http remote with the same content.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..core.remote import Area, Moved, Pieces, RemoteObject
from ..errors import RemoteError
from ..store import disk
from .listing import NAME

PIECE = 4 << 20
DRAFTS = "tmp"
"""Under the folder: what is being written."""
OLD = 24 * 3600
"""Seconds. What a writer that was killed left there harms nothing, and goes with a later write."""


class FolderRemote:
    def __init__(self, root: Path) -> None:
        self._root, self._swept = root, False

    def sizes(self, area: Area, names: Sequence[str]) -> Mapping[str, int]:
        found = {}
        with self._trouble():
            self._check_root()
            for name in names:
                try:
                    found[name] = self._path(area, name).stat().st_size
                except FileNotFoundError:
                    continue
        return found

    def read(self, area: Area, name: str, start: int = 0) -> Pieces | None:
        with self._trouble():
            self._check_root()
            try:
                handle = self._path(area, name).open("rb", buffering=0)
            except FileNotFoundError:
                return None
            handle.seek(start)

        def pieces() -> Pieces:
            with handle, self._trouble():
                yield b""
                while piece := handle.read(PIECE):
                    yield piece

        begun = pieces()
        next(begun)  # it waits inside of what closes the file, so that a `close` does that
        return begun

    def write(
        self, area: Area, name: str, source: Path, moved: Moved, *, only_new: bool = False
    ) -> bool:
        path = self._path(area, name)
        with self._trouble():
            self._check_root()  # nothing is written into a mount point without its mount
            self._sweep_drafts()
            path.parent.mkdir(exist_ok=True)
            draft = self._root / DRAFTS / f"{name}.{uuid.uuid4().hex}"
            try:
                _copy(source, draft, moved)
                if not only_new:
                    draft.replace(path)
                else:
                    try:
                        disk.link(draft, path)
                    except FileExistsError:
                        return False
                disk.fsync_folder(path.parent)
            finally:
                draft.unlink(missing_ok=True)
        return True

    def entries(self, area: Area) -> Iterator[RemoteObject]:
        with self._trouble():
            self._check_root()
            folder = self._root / area
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                try:
                    stat = path.stat()
                except FileNotFoundError:  # taken away meanwhile
                    continue
                if NAME.fullmatch(path.name):  # what else lies there is not ours
                    yield RemoteObject(path.name, stat.st_size, stat.st_mtime)

    def remove(self, area: Area, name: str) -> None:
        with self._trouble():
            self._path(area, name).unlink(missing_ok=True)

    def _path(self, area: Area, name: str) -> Path:
        return self._root / area / name

    def _sweep_drafts(self) -> None:
        drafts = self._root / DRAFTS
        drafts.mkdir(exist_ok=True)
        for draft in drafts.iterdir() if not self._swept else ():
            with suppress(FileNotFoundError):
                if draft.stat().st_mtime < time.time() - OLD:
                    draft.unlink()
        self._swept = True

    def _check_root(self) -> None:
        if not self._root.is_dir():
            raise NotADirectoryError(0, "no such folder (is it mounted?)", str(self._root))

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RemoteError(f"{error.filename or self._root}: {error.strerror}") from error


def _copy(source: Path, draft: Path, moved: Moved) -> None:
    with source.open("rb") as reader, draft.open("xb", buffering=0) as writer:
        while piece := reader.read(PIECE):
            writer.write(piece)
            moved(len(piece))
        os.fchmod(writer.fileno(), 0o444)
        disk.fsync(writer)
