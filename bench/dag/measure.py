"""One run of a whole process: its time, and processor and memory of it and all it started."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 900
SAID = "said.txt"
"""What the last process said, in its folder."""


@dataclass(frozen=True)
class Taken:
    """`memory` is the most that one process had, in bytes; `code` its exit code."""

    seconds: float
    processor: float
    memory: int
    code: int
    steps: int = 0


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Taken:
    """`time` is in between because a child begins with the memory of who starts it."""
    peak = folder / "peak.txt"
    timed = ["/usr/bin/time", "-q", "-f", "%M", "-o", str(peak), *command]
    with (folder / SAID).open("wb") as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            timed, cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
        signal.alarm(PATIENCE)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        signal.alarm(0)
    process.returncode = code = os.waitstatus_to_exitcode(status)
    memory = int(peak.read_text().split()[-1]) << 10
    return Taken(seconds, used.ru_utime + used.ru_stime, memory, code)


def middle(taken: Sequence[Taken]) -> Taken:
    """The median of each number of several runs, and the most memory. What a run did (its steps
    and its exit code) is that of the one that did most: it should be the same in all."""
    return Taken(
        statistics.median(one.seconds for one in taken),
        statistics.median(one.processor for one in taken),
        max(one.memory for one in taken),
        max(one.code for one in taken),
        max(one.steps for one in taken),
    )
