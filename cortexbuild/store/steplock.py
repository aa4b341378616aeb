"""One process builds a step at a time; the others wait and find it made. Only saves work.

A lock counts for as long as its file has its name: a collection takes away those that nobody
holds, and who has opened one meanwhile opens the next.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import disk
from .locks import has_name, holder, lock, sign
from .waiting import acquire

DIGITS = 64
"""Of a step's key; the store has locks beside them that are of no step."""


@contextmanager
def step_lock(
    root: Path, key: str, label: str, say: Callable[[str], None], patience: float | None = None
) -> Iterator[None]:
    """Held while a step runs. `flock` is dropped when its process dies, however it dies.

    Raises BusyError when it is not obtained within `patience` seconds.
    """
    path = root / "locks" / f"{key}.lock"
    while True:
        handle = disk.handle(path)
        try:
            acquire(
                handle, fcntl.LOCK_EX, patience,
                lambda: f"{label} is being made by {holder(path)}",
                lambda: f"{label} waits for {holder(path)}", say,
            )  # fmt: skip
            if not has_name(handle, path):
                continue
            sign(handle)
            yield
            return
        finally:
            os.close(handle)


def sweep_step_locks(root: Path) -> None:
    """Remove the files of locks that nobody holds, each while it is held here."""
    for path in sorted((root / "locks").glob(f"{'?' * DIGITS}.lock")):
        with suppress(FileNotFoundError, BlockingIOError):
            handle = disk.handle(path, os.O_RDWR)
            try:
                if lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB) and has_name(handle, path):
                    disk.unlink(path)
            finally:
                os.close(handle)
