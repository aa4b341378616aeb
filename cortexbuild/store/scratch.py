"""Folders for work in progress, each held by its process; what the dead left is swept."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import disk
from .waiting import is_held

HELD = ".lock"


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """A folder under `root`/tmp that is gone afterwards. `flock` dies with its process."""
    folder = root / "tmp" / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    draft = folder / f"{HELD}.new"  # another process sweeps what has a lock that nobody holds
    handle = os.open(draft, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        draft.rename(folder / HELD)
        yield folder
    finally:
        disk.remove(folder)
        os.close(handle)


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
        return folder.exists() and _pid_lives(folder.name)
    except NotADirectoryError:
        return False


def _pid_lives(name: str) -> bool:
    pid = name.partition("-")[0]
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # one that ended, and whose parent has not yet asked how
        state = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in ("Z", "X")
