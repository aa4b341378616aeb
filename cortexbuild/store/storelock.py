"""Who uses the store: many commands that count on its bytes, or one that takes bytes away.

A lock on one file, shared by the many and exclusive for the one. It dies with its process. Each
holder has a file of its own beside it, locked too, that says who it is; one that nobody holds
was left by a process that was killed. One of the many may take bytes away, too, while there is
no other: who comes signs at a door, and that is shut meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import disk
from .waiting import acquire, is_held


@contextmanager
def store_lock(
    root: Path, command: str, say: Callable[[str], None], patience: float | None = None,
    *, alone: bool = False,
) -> Iterator[None]:  # fmt: skip
    """While it is held, no bytes go from the store; `alone`, no other command uses them.

    Raises BusyError when it is not obtained within `patience` seconds.
    """
    handle = disk.handle(root / "locks" / "store.lock")
    try:
        acquire(
            handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, patience,
            lambda: f"the store is in use by {_others(root)}",
            lambda: f"{command} waits for {_others(root)}", say,
        )  # fmt: skip
        if alone:
            _sweep(root)
        with _signed(root, command):
            yield
    finally:
        os.close(handle)


@contextmanager
def alone_for_now(root: Path) -> Iterator[bool]:
    """For who holds the lock with others: whether there is no other, and if so none will be until
    this ends."""
    with _door(root) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = len(holders(root)) == 1
        except BlockingIOError:  # somebody comes
            alone = False
        yield alone


def holders(root: Path) -> list[str]:
    """Who holds the lock now, as a person reads it."""
    found = []
    for path in sorted((root / "locks" / "holders").glob("*")):
        try:
            held = json.loads(path.read_text()) if is_held(path) else None
        except (OSError, ValueError):
            continue
        if held is not None:
            found.append(f"pid {held['pid']} on {held['host']} ({held['what']})")
    return found


@contextmanager
def _signed(root: Path, command: str) -> Iterator[None]:
    folder = root / "locks" / "holders"
    disk.make_folder(folder)
    path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    handle = disk.handle(path)
    try:
        with _door(root) as door:
            fcntl.flock(door, fcntl.LOCK_SH)
            fcntl.flock(handle, fcntl.LOCK_EX)
            holder = {"pid": os.getpid(), "host": socket.gethostname()}
            holder["what"] = f"{command}, since {time.strftime('%H:%M')}"
            os.pwrite(handle, json.dumps(holder).encode(), 0)
        yield
    finally:
        disk.unlink(path)
        os.close(handle)


@contextmanager
def _door(root: Path) -> Iterator[int]:
    handle = disk.handle(root / "locks" / "door.lock")
    try:
        yield handle
    finally:
        os.close(handle)


def _others(root: Path) -> str:
    return " and ".join(holders(root)) or "another process"


def _sweep(root: Path) -> None:
    """Who is alone signs after this, and everyone else after that: what is here is of the dead."""
    for path in (root / "locks" / "holders").glob("*"):
        disk.unlink(path)
