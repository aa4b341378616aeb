"""Waiting for a lock that another process has: how long, and what a person is told meanwhile."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import BusyError
from .locks import lock

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
            return lock(handle, how | fcntl.LOCK_NB)
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
