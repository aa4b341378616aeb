"""File systems of other kinds, as far as the store can tell."""

from __future__ import annotations

import errno
import os
from io import FileIO
from pathlib import Path

from cortexbuild.store.system import System


class Linkless(System):
    """One that knows no hard links, as exFAT; and no symbolic ones if it says so."""

    def __init__(self, *, symbolic: bool) -> None:
        self.symbolic = symbolic

    def link(self, source: Path, dest: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(source), None, str(dest))

    def symlink(self, shown: str, path: Path) -> None:
        if not self.symbolic:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), shown, None, str(path))
        super().symlink(shown, path)


class Folding(System):
    """One that does not tell capitals from small letters, as those of macOS and Windows."""

    def _same(self, path: Path) -> Path:
        """The name that is there already for what `path` names."""
        names = path.parent.iterdir() if path.parent.is_dir() else ()
        return next((p for p in names if p.name.casefold() == path.name.casefold()), path)

    def open(self, path: Path, mode: str) -> FileIO:
        return super().open(self._same(path), mode)

    def link(self, source: Path, dest: Path) -> None:
        super().link(source, self._same(dest))

    def symlink(self, shown: str, path: Path) -> None:
        super().symlink(shown, self._same(path))
