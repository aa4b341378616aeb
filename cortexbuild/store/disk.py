"""The few file operations that the rest is made of. Each is whole or absent, and what is absent
after a loss of power is what was written last."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError
from .system import system

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

PIECE = 4 << 20
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)
"""What file systems say that know no links, or none there."""


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An error of a call that knows a file by its number names it all the same."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def unless_read_only() -> Iterator[None]:
    """Do it where something can be written: who only reads needs none of it."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EROFS:
            raise


# -- contents


@contextmanager
def writing(path: Path, mode: str = "wb") -> Iterator[FileIO]:
    """A file to `write` to."""
    with system().open(path, mode) as file:
        yield file


def write(file: FileIO, content: Buffer) -> None:
    """All of it: a call may take less than it was given."""
    left = memoryview(content).cast("B")
    with _named(Path(str(file.name))):
        while left:
            left = left[file.write(left) :]


def write_text(path: Path, text: str) -> None:
    """For drafts: it may be torn."""
    with writing(path) as file:
        write(file, text.encode(errors="surrogateescape"))


def fsync(file: FileIO) -> None:
    with _named(Path(str(file.name))):
        system().fsync(file.fileno())


@contextmanager
def settling(path: Path) -> Iterator[None]:
    """Have a whole file written to the disk while it is read and hashed."""
    from concurrent.futures import ThreadPoolExecutor

    with FileIO(path) as file, ThreadPoolExecutor(1) as other:
        settled = other.submit(fsync, file)
        yield
        settled.result()


def copy_durably(source: Path, dest: Path) -> None:
    """A read-only copy of a file, under a name that nothing has. Raises FileExistsError."""
    with FileIO(source) as reader, writing(dest, "xb") as writer:
        while piece := reader.read(PIECE):
            write(writer, piece)
        fsync(writer)
    make_read_only(dest)


def truncate(path: Path, size: int) -> None:
    system().truncate(path, size)


def clone(source: Path, dest: Path) -> bool:
    """Copy a file without copying its bytes, where the file system can."""
    return system().clone(source, dest)


def handle(path: Path, flags: int = os.O_CREAT | os.O_RDWR) -> int:
    """A file of no content that matters, to be locked or to be printed to."""
    return system().handle(path, flags, 0o600)


# -- names


def fsync_folder(folder: Path) -> None:
    """Make names in a folder durable: a rename may be lost with the power otherwise."""
    number = os.open(folder, os.O_RDONLY)
    try:
        with _named(folder):
            system().fsync(number)
    finally:
        os.close(number)


def rename(source: Path, dest: Path) -> None:
    """What had the name is replaced at once."""
    system().rename(source, dest)


def rename_folder(source: Path, dest: Path) -> bool:
    """Unless there is one of that name, which has something in it. Says whether it was done."""
    try:
        system().rename(source, dest)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def link(source: Path, dest: Path) -> None:
    """Give a whole file its final name. Raises FileExistsError when another was first."""
    try:
        system().link(source, dest)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # A file system without hard links: claim the name, then move over our own claim.
        os.close(handle(dest, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            rename(source, dest)
        except OSError:
            unlink(dest)
            raise


def share(source: Path, dest: Path) -> bool:
    """Give a file one more name, if its file system can. Raises FileExistsError."""
    try:
        system().link(source, dest)
    except OSError as error:
        if error.errno not in (*NO_LINKS, errno.EXDEV):
            raise
        return False
    return True


def symlink(shown: Path | str, path: Path) -> None:
    try:
        system().symlink(str(shown), path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        raise StoreError(
            f"{path.parent} is on a file system that has no symbolic links",
            hint="set CORTEX_HOME to a folder on one that has: ext4, xfs, btrfs, zfs or APFS",
        ) from error


def unlink(path: Path) -> None:
    """A file or link that may be gone already."""
    with suppress(FileNotFoundError):
        system().unlink(path)


def make_folder(path: Path) -> None:
    """With those above it; each is durable, so that nothing in it is lost by its name alone."""
    try:
        system().mkdir(path)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    except FileNotFoundError:
        make_folder(path.parent)
        make_folder(path)
        return
    fsync_folder(path.parent)


def make_passing_folder(path: Path) -> None:
    """In a folder for work in progress; with those above it."""
    try:
        system().mkdir(path)
    except FileExistsError:
        if not path.is_dir():
            raise
    except FileNotFoundError:
        make_passing_folder(path.parent)
        make_passing_folder(path)


def make_read_only(path: Path) -> None:
    set_mode(path, 0o444)


def set_mode(path: Path, mode: int) -> None:
    system().chmod(path, mode)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder of our own, read-only ones too."""
    if path.is_dir() and not path.is_symlink():
        system().remove_tree(path)
    else:
        unlink(path)


def remove_empty(folder: Path) -> None:
    system().rmdir(folder)
