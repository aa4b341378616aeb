"""The process in which steps run: `python -m cortexbuild.exec.child FD PARENT LIFE ENGINE`.

It takes jobs and errands from a pipe, one after the other, and lives no longer than its parent.
Libraries may print, leak and crash here without harm to the command that the user sees.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TextIO, cast

from ..core.ports import Job, Progress
from ..redaction import redacted
from ..runtimes.torchless import ENGINES, leave_out_torch
from .errand import Errand
from .logs import flush, log_to
from .together import run_together
from .worker import run

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    sys.stdout, sys.stderr = cast(TextIO, _Shown(sys.stdout)), cast(TextIO, _Shown(sys.stderr))
    pipe = Connection(int(sys.argv[1]))
    _die_with_parent(int(sys.argv[2]), int(sys.argv[3]))
    if sys.argv[4] in ENGINES:
        leave_out_torch()
    while True:
        try:
            work: Job | Errand | tuple[Job, ...] = pipe.recv()
        except EOFError:
            return
        for done in _outcomes(work, pipe):
            flush()
            pipe.send(("done", done))


def _outcomes(work: Job | Errand | tuple[Job, ...], pipe: Connection) -> Iterator[object]:
    """One; of several jobs, one for each."""
    if isinstance(work, tuple):
        yield from run_together(work, partial(_say, pipe), partial(_moving, pipe))
    else:
        log_to(Path(work.log))
        yield run(work, partial(_say, pipe), partial(_move, pipe))


class _Shown:
    """A stream for what Python code prints and logs, which may quote what it was given."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _say(pipe: Connection, text: str) -> None:
    pipe.send(("said", redacted(text)))


def _move(pipe: Connection, done: int, total: int) -> None:
    pipe.send(("moved", (done, total)))


def _moving(pipe: Connection, jobs: Sequence[Job]) -> Progress:
    """Tells how far all of these are."""
    ids = tuple(job.id for job in jobs)
    return lambda done, total: pipe.send(("all moved", (ids, done, total)))


def _die_with_parent(parent: int, life: int) -> None:
    """`life` is a pipe whose other end only the parent has: it closes when the parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)

    def watch() -> None:
        os.read(life, 1)
        os.killpg(0, signal.SIGKILL)  # the programs that a step started, too

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
