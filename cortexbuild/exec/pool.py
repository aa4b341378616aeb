"""Child processes in which steps run, kept warm per engine.

An engine costs seconds to import, so a child that has one is used again for it. A child that
dies is a failed step, and nothing else.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from threading import Lock
from typing import Any

from ..core.ports import Job
from ..core.step import Failure, Kind
from ..errors import REPORT
from ..processes import Late, Process, Reach, start_python
from .errand import Errand

LESS_AT_ONCE = "`-j 1` runs one step at a time; `resources: {memory: …}` says what there is"
MOST_JOBS = 50  # of one child: libraries leak
LEAVING = 5.0  # seconds for one that is ending by itself
TORCH = "torch"
"""The engine of all that name it, among others: no other takes as long to import."""
CODE = "a model's own code"
"""Instead of an engine's name. Such a child does one job: what ran in it may have changed it."""


@dataclass(slots=True, eq=False)
class Child:
    process: Process
    pipe: Connection
    life: int
    engine: str
    jobs: int = 0

    def kill(self) -> None:
        """With the programs that it started: its work is published whole or not at all."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def death(self, log: str) -> Failure:
        """What a step comes to whose child has ended."""
        code = self.process.returncode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            killed = name == "SIGKILL"
            why = " (out of memory?)" if killed else ""
            return Failure(
                f"its process was ended by {name}{why}", LESS_AT_ONCE if killed else REPORT, log
            )
        return Failure(f"its process ended with {code}", REPORT, log)


class Pool:
    """Children to lend, to any thread. No more than `most` are kept when some are idle."""

    def __init__(self, most: int) -> None:
        self._most, self._lock, self._closed = most, Lock(), False
        self.idle: list[Child] = []  # the one that was used last stands last
        self.lent: list[Child] = []

    def lend(self, engine: str) -> Child:
        """A child that has done work of this engine before, or a new one."""
        with self._lock:
            if self._closed:
                raise RuntimeError("a pool that was closed lends no children")
            same = (c for c in self.idle if c.engine == engine and c.process.poll() is None)
            child = next(same, None)
            if child is not None:
                self.idle.remove(child)
            else:
                if self.idle and len(self.idle) + len(self.lent) >= self._most:
                    _end(self.idle.pop(0))
                child = _start_child(engine)
            self.lent.append(child)
            child.jobs += 1
            return child

    def give_back(self, child: Child) -> None:
        with self._lock:
            self.lent.remove(child)
            if self._closed or child.jobs >= MOST_JOBS or child.engine == CODE:
                _end(child)
            else:
                self.idle.append(child)

    def end(self, child: Child) -> None:
        """One that was lent is of no more use."""
        with self._lock:
            self.lent.remove(child)
        _end(child)

    def ended(self, child: Child, log: str) -> Failure:
        """What work comes to whose child has closed its pipe: it ends, and how tells why."""
        with suppress(Late):
            child.process.wait(LEAVING)
        self.end(child)
        return child.death(log)

    def run(
        self,
        work: Job | Errand,
        tell: Callable[[str, Any], None],
        hold: Callable[[Child | None], None] = lambda _: None,
    ) -> object:
        """Have it done, however long it takes; gives what came of it, a Failure if its child ended
        before. `tell` hears of progress, and `hold` has the child meanwhile."""
        child = self.lend(engine_of(work))
        try:
            hold(child)
            child.pipe.send(work)
            while True:
                what, value = child.pipe.recv()
                if what == "done":
                    break
                tell(what, value)
        except (EOFError, OSError):
            hold(None)
            return self.ended(child, work.log)
        hold(None)
        self.give_back(child)
        return value

    def close(self) -> None:
        """End all. Who has a child hears that it is gone, and gives it back by `end`."""
        with self._lock:
            self._closed = True
            for child in self.lent:
                child.kill()
            while self.idle:
                _end(self.idle.pop())


def engine_of(work: Job | Errand) -> str:
    if isinstance(work, Errand) or work.step.kind is Kind.FETCH or work.pull is not None:
        return Kind.FETCH
    if work.step.code:
        return CODE
    engines = work.step.tool.engine
    return TORCH if TORCH in engines else next(iter(engines), "")


def _start_child(engine: str) -> Child:
    """Only one that fetches has the network, and what belongs to it."""
    ours, theirs = Pipe()
    life_read, life_write = os.pipe()
    arguments = [str(theirs.fileno()), str(os.getpid()), str(life_read), engine]
    reach: Reach = "network" if engine == Kind.FETCH else "machine"
    fds = (theirs.fileno(), life_read)
    process = start_python("cortexbuild.exec.child", arguments, reach, fds)
    theirs.close()
    os.close(life_read)
    return Child(process, ours, life_write, engine)


def _end(child: Child) -> None:
    child.kill()
    child.process.wait()
    child.pipe.close()
    os.close(child.life)
