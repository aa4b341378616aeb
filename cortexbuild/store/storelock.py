"""Who uses the store: many commands that count on its bytes, or one that takes bytes away.

A lock on one file, shared by the many and exclusive for the one. It dies with its process. Each
holder has a file of its own beside it, locked too, that says who it is; one that nobody holds
was left by a process that was killed. One of the many may take bytes away, too, while there is
no other: who comes signs at a door, and that is shut meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import StoreError
from . import disk
from .locks import holder, is_held, lock, sign
from .waiting import acquire


@contextmanager
def store_lock(
    root: Path, command: str, say: Callable[[str], None], patience: float | None = None,
    *, alone: bool = False,
) -> Iterator[None]:  # fmt: skip
    """While it is held, no bytes go from the store; `alone`, no other command uses them.

    Raises BusyError when it is not obtained within `patience` seconds, and StoreError for who is to
    be alone where there are no locks.
    """
    handle = disk.handle(root / "locks" / "store.lock")
    try:
        locked = acquire(
            handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, patience,
            lambda: f"the store is in use by {_others(root)}",
            lambda: f"{command} waits for {_others(root)}", say,
        )  # fmt: skip
        if alone and not locked:
            raise StoreError(
                f"{root} is on a file system without locks, so nobody knows who uses it",
                hint="set CORTEX_HOME to a folder on a local disk",
            )
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
            locked = lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = locked and len(holders(root)) == 1
        except BlockingIOError:  # somebody comes
            alone = False
        yield alone


def holders(root: Path) -> list[str]:
    """Who holds the lock now, as a person reads it."""
    found = []
    for path in sorted((root / "locks" / "holders").glob("*")):
        with suppress(FileNotFoundError):
            if is_held(path):
                found.append(holder(path))
    return found


@contextmanager
def _signed(root: Path, command: str) -> Iterator[None]:
    folder = root / "locks" / "holders"
    disk.make_folder(folder)
    path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    handle = disk.handle(path)
    try:
        with _door(root) as door:
            lock(door, fcntl.LOCK_SH)
            lock(handle, fcntl.LOCK_EX)
            sign(handle, command)
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
