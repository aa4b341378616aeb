"""Waiting for a lock that another process has: how long, and what a person is told meanwhile.

Where a file system knows no locks nobody waits: two commands may do the same work twice.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import BusyError
from . import disk

SAY_AFTER = 2.0  # seconds before saying whom one waits for


def acquire(
    handle: int, how: int, patience: float | None,
    busy: Callable[[], str], waits: Callable[[], str], say: Callable[[str], None],
) -> bool:  # fmt: skip
    """Take a `flock` of the kind `how`. `busy` says why it cannot be had, `waits` that one waits.

    Says whether there is such a thing. Raises BusyError when it is not obtained within `patience`
    seconds; None is for ever.
    """
    started, said = time.monotonic(), False
    while True:
        try:
            return disk.lock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = time.monotonic() - started
            if patience is not None and waited >= patience:
                raise BusyError(
                    busy(), hint="wait for it, or leave `--no-wait` and `--lock-timeout` out"
                ) from None
            if not said and waited > SAY_AFTER:
                said = True
                say(waits())
            time.sleep(0.05)


def is_held(path: Path) -> bool:
    """Whether a process has the lock of a file, and where that cannot be found out. Raises
    FileNotFoundError."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # of another person
        return True
    try:
        return not disk.lock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)


def has_name(handle: int, path: Path) -> bool:
    """Whether an open file is the one of that name still."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def sign(handle: int, command: str = "") -> None:
    """Say in a file that is locked who has it, for those who wait."""
    what = f"{command}, since" if command else "since"
    holder = {"pid": os.getpid(), "host": socket.gethostname()}
    said = json.dumps({**holder, "what": f"{what} {time.strftime('%H:%M')}"})
    disk.say(handle, said.encode())


def holder(path: Path) -> str:
    """Who has the lock of a file, as a person reads it."""
    try:
        held = json.loads(path.read_text())
        return f"pid {held['pid']} on {held['host']} ({held['what']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def pid_lives(pid: int) -> bool:
    """Whether there is such a process on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    try:  # one that ended, and whose parent has not yet asked how
        state = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in ("Z", "X")
