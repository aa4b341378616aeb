"""Folders for work in progress, each held by its process; what the dead left is swept."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import disk
from .locks import is_held, lock
from .waiting import pid_lives

HELD = ".lock"


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """A folder under `root`/tmp that is gone afterwards. `flock` dies with its process."""
    folder = root / "tmp" / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    disk.make_passing_folder(folder)
    draft = folder / f"{HELD}.new"  # another process sweeps what has a lock that nobody holds
    try:
        handle = disk.handle(draft)
        try:
            lock(handle, fcntl.LOCK_EX)
            disk.rename(draft, folder / HELD)
            yield folder
        finally:
            os.close(handle)
    finally:
        disk.remove(folder)


def sweep(root: Path) -> int:
    """Remove the folders whose process is gone; says how many."""
    found = left(root)
    for folder in found:
        disk.remove(folder)
    return len(found)


def left(root: Path) -> list[Path]:
    """The folders that processes have left which were killed."""
    return [folder for folder in sorted((root / "tmp").iterdir()) if not _is_held(folder)]


def _is_held(folder: Path) -> bool:
    try:
        return is_held(folder / HELD)
    except FileNotFoundError:
        # Made a moment ago, and about to be locked; or debris from before the lock.
        pid = folder.name.partition("-")[0]
        return folder.exists() and pid.isdigit() and pid_lives(int(pid))
    except NotADirectoryError:
        return False
