"""The process in which steps run: `python -m cortexbuild.exec.child FD`.

It takes jobs and errands from a pipe, one after the other, and lives no longer than its parent.
Libraries may print, leak and crash here without harm to the command that the user sees.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from ..core.ports import Job
from ..store import disk
from .errand import Errand
from .worker import run

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    pipe = Connection(int(sys.argv[1]))
    _die_with_parent(int(sys.argv[2]), int(sys.argv[3]))
    while True:
        try:
            work: Job | Errand = pipe.recv()
        except EOFError:
            return
        _log_to(Path(work.log))
        done = run(work, partial(_say, pipe), partial(_move, pipe))
        sys.stdout.flush()
        sys.stderr.flush()
        pipe.send(("done", done))


def _say(pipe: Connection, text: str) -> None:
    pipe.send(("said", text))


def _move(pipe: Connection, done: int, total: int) -> None:
    pipe.send(("moved", (done, total)))


def _log_to(path: Path) -> None:
    disk.make_passing_folder(path.parent)
    handle = disk.handle(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


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
