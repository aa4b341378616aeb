"""Locks of open files, and what they say of who has them. A `flock` dies with its process.

Where a file system knows no locks everybody is let in: nothing is wrong for want of one, but two
commands may do the same work twice.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path

from .system import system

NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def lock(handle: int, how: int) -> bool:
    """Take a `flock`; BlockingIOError is raised as `how` has it. Says whether there is any."""
    try:
        system().lock(handle, how)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


def is_held(path: Path) -> bool:
    """Whether a process has the lock of a file, and where that cannot be found out. Raises
    FileNotFoundError."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # of another person
        return True
    try:
        return not lock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
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
    """Say in a file that is locked who has it, for those who wait. Without room for that it is
    locked all the same."""
    what = f"{command}, since" if command else "since"
    who = {"pid": os.getpid(), "host": socket.gethostname()}
    said = json.dumps({**who, "what": f"{what} {time.strftime('%H:%M')}"})
    try:
        system().say(handle, said.encode())
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise


def holder(path: Path) -> str:
    """Who has the lock of a file, as a person reads it."""
    try:
        held = json.loads(path.read_text())
        return f"pid {held['pid']} on {held['host']} ({held['what']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
