"""The few file operations that the rest of the store is made of. Each is whole or absent."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

FICLONE = 0x40049409  # linux/fs.h: share the extents of another file


def fsync(file: IO[Any]) -> None:
    file.flush()
    flush(file.fileno())


def flush(handle: int) -> None:
    """Have what was written on the disk before anything that is written later.

    On macOS fsync leaves it in the drive's own memory, in any order (its fsync(2) says so); what
    empties that as well is not known to every file system.
    """
    if sys.platform == "darwin":
        with suppress(OSError):
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
            return
    os.fsync(handle)


@contextmanager
def settling(path: Path) -> Iterator[None]:
    """Have a whole file written to the disk while it is read and hashed."""
    from concurrent.futures import ThreadPoolExecutor

    with path.open("rb") as file, ThreadPoolExecutor(1) as other:
        settled = other.submit(fsync, file)
        yield
        settled.result()


def fsync_folder(folder: Path) -> None:
    """Make names in a folder durable: a rename may be lost with the power otherwise."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        flush(handle)
    finally:
        os.close(handle)


def link(source: Path, dest: Path) -> None:
    """Give a whole file its final name. Raises FileExistsError when another was first."""
    try:
        os.link(source, dest)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS):
            raise
        # A file system without hard links: claim the name, then move over our own claim.
        os.close(os.open(dest, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        source.rename(dest)


def write_once(path: Path, text: str, draft: Path) -> bool:
    """Write `path` by way of `draft`, unless it is there already. Says whether it was written."""
    with draft.open("wb") as file:
        file.write(text.encode())
        fsync(file)
    draft.chmod(0o444)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    fsync_folder(path.parent)
    return True


def replace_text(path: Path, text: str) -> None:
    """Put a new whole text in the place of an old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)


def clone(source: Path, dest: Path) -> bool:
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


def remove(path: Path) -> None:
    """Remove a file, a link or a folder of our own, read-only ones too."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
