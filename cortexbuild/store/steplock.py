"""One process builds a step at a time; the others wait and find it made. Only saves work."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import disk
from .waiting import acquire


@contextmanager
def step_lock(
    root: Path, key: str, label: str, say: Callable[[str], None], patience: float | None = None
) -> Iterator[None]:
    """Held while a step runs. `flock` is dropped when its process dies, however it dies.

    Raises BusyError when it is not obtained within `patience` seconds.
    """
    path = root / "locks" / f"{key}.lock"
    handle = disk.handle(path)
    try:
        acquire(
            handle, fcntl.LOCK_EX, patience,
            lambda: f"{label} is being made by {_holder(path)}",
            lambda: f"{label} waits for {_holder(path)}", say,
        )  # fmt: skip
        os.ftruncate(handle, 0)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "step": label}
        os.pwrite(handle, json.dumps({**holder, "since": time.strftime("%H:%M")}).encode(), 0)
        yield
    finally:
        os.close(handle)


def _holder(path: Path) -> str:
    try:
        held = json.loads(path.read_text())
        return f"pid {held['pid']} on {held['host']} (since {held['since']})"
    except (OSError, ValueError, KeyError):
        return "another process"
