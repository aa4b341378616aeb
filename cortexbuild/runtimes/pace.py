"""How fast a model writes here, and how much memory it takes."""

from __future__ import annotations

import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

from ..core.ports import LoadedModel, Sampling

WRITTEN = 16
"""Tokens of greedy text that are timed, after a few that are not: first uses compile kernels."""


def tokens_per_second(model: LoadedModel, prompt: str) -> float | None:
    """Of greedy text after the prompt, which is read within the time; None when there is none.

    What was written is counted as the model itself would read it. Half of the prompt is read
    before, which is enough to have the kernels for many tokens at once and for one.
    """
    "".join(model.generate(prompt[: len(prompt) // 2], Sampling(max_tokens=2)))
    started = time.perf_counter()
    text = "".join(model.generate(prompt, Sampling(max_tokens=WRITTEN)))
    seconds = time.perf_counter() - started
    count = len(model.encode(prompt + text)) - len(model.encode(prompt))
    return count / seconds if count > 0 else None


def forget_peak() -> int:
    """Let the peak begin anew where the system can: on Linux (proc(5), clear_refs). Gives what it
    is now."""
    if sys.platform == "linux":
        with suppress(OSError):  # a container may forbid it
            Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def peak_memory(before: int) -> int | None:
    """The most bytes that this process had in memory since `forget_peak` gave `before`; None when
    it had more earlier, and the system cannot forget that."""
    now = _peak()
    return now if now > before else None


def _peak() -> int:
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
