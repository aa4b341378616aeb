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

from ..errors import BusyError

SAY_AFTER = 2.0  # seconds before saying whom one waits for


@contextmanager
def step_lock(
    root: Path, key: str, label: str, say: Callable[[str], None], patience: float | None = None
) -> Iterator[None]:
    """Held while a step runs. `flock` is dropped when its process dies, however it dies.

    Raises BusyError when it is not obtained within `patience` seconds.
    """
    path = root / "locks" / f"{key}.lock"
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        _acquire(handle, path, label, say, patience)
        os.ftruncate(handle, 0)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "step": label}
        os.pwrite(handle, json.dumps({**holder, "since": time.strftime("%H:%M")}).encode(), 0)
        yield
    finally:
        os.close(handle)


def _acquire(
    handle: int, path: Path, label: str, say: Callable[[str], None], patience: float | None
) -> None:
    started, said = time.monotonic(), False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            waited = time.monotonic() - started
            if patience is not None and waited >= patience:
                raise BusyError(
                    f"{label} is being made by {_holder(path)}",
                    hint="wait for it, or leave `--no-wait` and `--lock-timeout` out",
                ) from None
            if not said and waited > SAY_AFTER:
                said = True
                say(f"{label} waits for {_holder(path)}")
            time.sleep(0.05)


def _holder(path: Path) -> str:
    try:
        held = json.loads(path.read_text())
        return f"pid {held['pid']} on {held['host']} (since {held['since']})"
    except (OSError, ValueError, KeyError):
        return "another process"
