"""A file of ours on its way in: hashed while it is being written to the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..errors import REPORT, StoreError
from . import disk
from .hashing import CHUNK, Sums, sums_of, write_summed


def settled(path: Path) -> Sums:
    """The sums of a file, whose bytes are on the disk then; a link is replaced by what it shows.

    Raises StoreError if it changes meanwhile: whoever made it has not ended.
    """
    if path.is_symlink():
        source, draft = path.resolve(), path.with_name(f"{path.name}.copy")
        sums = copy_summed(source, draft)
        disk.rename(draft, path)
        return sums
    before = path.stat()
    with disk.settling(path):
        sums = sums_of(path)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise StoreError(f"`{path.name}` was still written to when the step had ended", hint=REPORT)
    return sums


Watch = Callable[[Iterable[bytes]], Iterator[bytes]]


def copy_summed(source: Path, dest: Path, watch: Watch = iter) -> Sums:
    """Copy a file, by reference where the file system can; read once in either case. `watch` sees
    the chunks pass."""
    if disk.clone(source, dest):
        return sums_of(dest)
    with source.open("rb", buffering=0) as reader:
        return write_summed(watch(iter(lambda: reader.read(CHUNK), b"")), dest)
