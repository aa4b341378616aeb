"""The calls by which something of ours is written: the one seam between the store and a disk.

`disk.py` makes what the rest uses of them. The tests put another `System` in the place of the
real one, that fails the n-th call, tears it, or loses power there (`tests/survival`).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

FICLONE = 0x40049409  # linux/fs.h: share the extents of another file


class System:
    """As the operating system does it, and no more: what fails raises OSError."""

    def open(self, path: Path, mode: str) -> FileIO:
        """Unbuffered: what is written is out of our hands, and may be less than what was given."""
        return FileIO(path, mode)

    def handle(self, path: Path, flags: int, mode: int) -> int:
        return os.open(path, flags, mode)

    def lock(self, handle: int, how: int) -> None:
        fcntl.flock(handle, how)

    def say(self, handle: int, content: bytes) -> None:
        """Have this be all that an open file says."""
        os.ftruncate(handle, 0)
        os.pwrite(handle, content, 0)

    def fsync(self, handle: int) -> None:
        """Have what was written on the disk before anything that is written later.

        On macOS fsync leaves it in the drive's own memory, in any order (its fsync(2) says so);
        what empties that as well is not known to every file system.
        """
        if sys.platform == "darwin":
            with suppress(OSError):
                fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
                return
        os.fsync(handle)

    def truncate(self, path: Path, size: int) -> None:
        os.truncate(path, size)

    def rename(self, source: Path, dest: Path) -> None:
        source.replace(dest)

    def link(self, source: Path, dest: Path) -> None:
        os.link(source, dest)

    def symlink(self, shown: str, path: Path) -> None:
        path.symlink_to(shown)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def mkdir(self, path: Path) -> None:
        path.mkdir()

    def rmdir(self, path: Path) -> None:
        path.rmdir()

    def remove_tree(self, path: Path) -> None:
        """What cannot be removed of it stays, and raises nothing."""
        shutil.rmtree(path, ignore_errors=True)

    def chmod(self, path: Path, mode: int) -> None:
        path.chmod(mode)

    def clone(self, source: Path, dest: Path) -> bool:
        """Copy a file without copying its bytes, where the file system can (btrfs, xfs, APFS)."""
        if sys.platform == "darwin":
            libc = ctypes.CDLL(None, use_errno=True)
            return bool(libc.clonefile(os.fsencode(source), os.fsencode(dest), 0) == 0)
        if sys.platform != "linux":
            return False
        with source.open("rb") as reader, dest.open("wb") as writer:
            try:
                fcntl.ioctl(writer.fileno(), FICLONE, reader.fileno())
            except OSError:
                return False
        return True


_system = System()


def system() -> System:
    return _system


@contextmanager
def replaced(other: System) -> Iterator[None]:
    """Have another one asked meanwhile, by all of this process. For tests."""
    global _system
    before, _system = _system, other
    try:
        yield
    finally:
        _system = before
