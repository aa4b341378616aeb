"""Jobs on this machine, each in a child process (`pool.py`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from ..core.events import Event, Said, StepMoved
from ..core.ports import Done, Job
from .pool import Child, Pool, engine_of


class LocalExecutor:
    """At most `slots` jobs at once. No more than `most` children are kept when they are idle.
    `tell` hears of progress while `wait` waits."""

    def __init__(self, slots: int, most: int, tell: Callable[[Event], None]) -> None:
        self._slots, self._tell = slots, tell
        self._pool = Pool(most)
        self._running: dict[Connection, tuple[Child, Job]] = {}

    def free(self) -> int:
        return self._slots - len(self._running)

    def start(self, job: Job) -> None:
        child = self._pool.lend(engine_of(job))
        self._running[child.pipe] = child, job
        with suppress(OSError):  # it died while idle: `wait` will see the closed pipe
            child.pipe.send(job)

    def wait(self) -> Done:
        while True:
            for pipe in wait(list(self._running)):
                assert isinstance(pipe, Connection), "only pipes are waited for"
                done = self._hear(pipe)
                if done is not None:
                    return done

    def close(self) -> None:
        while self._running:
            _, (child, _) = self._running.popitem()
            self._pool.end(child)
        self._pool.close()

    def _hear(self, pipe: Connection) -> Done | None:
        child, job = self._running[pipe]
        try:
            what, value = pipe.recv()
        except (EOFError, OSError):
            del self._running[pipe]
            return Done(job.id, self._pool.ended(child, job.log))
        if what == "said":
            self._tell(Said(value))
        elif what == "moved":
            self._tell(StepMoved(job.step.label, *value))
        else:
            del self._running[pipe]
            self._pool.give_back(child)
            done: Done = value
            return done
        return None
