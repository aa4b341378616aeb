"""What a disk has after a loss of power: what was settled by fsync, and of the rest what it likes.

A folder has the names that it had when it was settled last, a file its bytes; what was there when
the watch began is settled. What SQLite writes is left to SQLite.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


class PowerLoss(BaseException):
    """Nothing is done any more; nobody may catch it."""


@dataclass(frozen=True)
class Entry:
    """What a name in a folder stands for: a file or folder by its number, or where a link leads."""

    kind: str
    number: int
    shown: str = ""


def entry(path: Path) -> Entry:
    stat = path.lstat()
    if path.is_symlink():
        return Entry("link", stat.st_ino, str(path.readlink()))
    return Entry("folder" if path.is_dir() else "file", stat.st_ino)


def is_of_sqlite(path: Path) -> bool:
    return path.name.startswith("index.sqlite")


class Power:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: dict[int, dict[str, Entry]] = {}
        self.bytes: dict[int, bytes] = {}
        self.modes: dict[int, int] = {}
        self._kept: list[int] = []
        weakref.finalize(self, _close, self._kept)
        for folder, _, files in os.walk(root):
            self.settle(Path(folder))
            for file in files:
                if not (Path(folder) / file).is_symlink():
                    self.settle(Path(folder) / file)

    def settle(self, path: Path) -> None:
        number = path.stat().st_ino
        if path.is_dir():
            self.names[number] = {child.name: entry(child) for child in path.iterdir()}
        else:
            self.bytes[number], self.modes[number] = path.read_bytes(), path.stat().st_mode

    def changed(self, path: Path) -> None:
        """A file is being written, or a folder made, maybe with the number of one that is gone
        and that was not ours to keep."""
        number = path.lstat().st_ino
        if path.is_dir():
            self.names.pop(number, None)
        else:
            self.bytes.pop(number, None)

    def keep_number(self, path: Path) -> None:
        """Of what is about to lose a name, with what is in it: no other file gets it, and is taken
        for this one when it comes back. ext4 gives a number to the next that asks."""
        if not path.is_symlink() and path.is_dir():
            for child in path.iterdir():
                self.keep_number(child)
        with suppress(FileNotFoundError):
            self._kept.append(os.open(path, os.O_PATH | os.O_NOFOLLOW))

    def fail(self, how: str, salt: int) -> None:
        """Bring the disk to what is left: `lost` all that was not settled, or only `contents`, or
        `some`, by chance that is the same in every run."""
        if how == "kept":
            return
        files: dict[int, Path] = {}
        self._fail(self.root, how, salt, files)
        for number, path in files.items():
            if number not in self.bytes and path.stat().st_size and self._drops(path, how, salt):
                mode = path.stat().st_mode
                path.chmod(0o644)
                os.truncate(path, path.stat().st_size // 2)
                path.chmod(mode)

    def _drops(self, path: Path, how: str, salt: int) -> bool:
        chance = hashlib.sha256(f"{path.relative_to(self.root)}{salt}".encode()).digest()[0]
        return how != "some" or chance % 2 == 0

    def _fail(self, folder: Path, how: str, salt: int, files: dict[int, Path]) -> None:
        settled = self.names.get(folder.stat().st_ino, {})
        now = {child.name: entry(child) for child in folder.iterdir()}
        for name in sorted(settled.keys() | now.keys()):
            path, was, is_ = folder / name, settled.get(name), now.get(name)
            if is_of_sqlite(path) or "locks" in path.parts:
                continue
            if was != is_ and how != "contents" and self._drops(path, how, salt):
                if is_ is not None:
                    self.keep_number(path)  # what is brought back must not get it
                    shutil.rmtree(path) if is_.kind == "folder" else path.unlink()
                if was is not None:
                    self._bring_back(path, was)
            if path.is_dir() and not path.is_symlink():
                self._fail(path, how, salt, files)
            elif path.is_file() and not path.is_symlink():
                files.setdefault(path.stat().st_ino, path)

    def _bring_back(self, path: Path, was: Entry) -> None:
        """What was taken away or replaced, and that was not settled."""
        if was.kind == "link":
            path.symlink_to(was.shown)
        elif was.kind == "folder":
            path.mkdir()
            for name, child in self.names.get(was.number, {}).items():
                self._bring_back(path / name, child)
            self.settle(path)
        else:
            path.write_bytes(self.bytes.get(was.number, b"\0"))
            path.chmod(self.modes.get(was.number, 0o644))
            self.settle(path)


def _close(handles: list[int]) -> None:
    for handle in handles:
        os.close(handle)
