"""Waiting for what another process does, and seeing which processes there are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HAS_PROC = Path("/proc/self").is_dir()
needs_proc = pytest.mark.skipif(not HAS_PROC, reason="looks at /proc")


def until(question: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for something to be so; a test that waits in vain has failed."""
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "it did not come to be so"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [number for number in numbers if _stat(number)[1:2] == [str(pid)]]


def is_gone(pid: int) -> bool:
    """Whether nothing of it runs any more, though nobody may have asked how it ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return HAS_PROC and _stat(pid)[:1] in ([], ["Z"], ["X"])


def _stat(pid: int) -> list[str]:
    """Its state, its parent and more; nothing of one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
