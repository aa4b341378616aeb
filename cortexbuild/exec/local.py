"""Jobs on this machine, each in a child process (`pool.py`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait

from ..core.events import Event, Said, StepMoved
from ..core.ports import Done, Job
from ..core.step import StepId
from .logs import copy_since, size_of
from .pool import Child, Pool, engine_of


@dataclass(slots=True)
class _Running:
    """What a child does: these jobs are not done yet. `logs` has where in its log each began."""

    child: Child
    jobs: dict[StepId, Job]
    logs: Mapping[str, int]


class LocalExecutor:
    """At most `slots` children at once, each with a job or with several that are done together. No
    more than `most` are kept when they are idle. `tell` hears of progress while `wait` waits."""

    def __init__(self, slots: int, most: int, tell: Callable[[Event], None]) -> None:
        self._slots, self._tell = slots, tell
        self._pool = Pool(most)
        self._running: dict[Connection, _Running] = {}
        self._ended: deque[Done] = deque()  # of children that are gone

    def free(self) -> int:
        return self._slots - len(self._running)

    def start(self, *jobs: Job) -> None:
        child = self._pool.lend(engine_of(jobs[0]))
        logs = {job.log: size_of(job.log) for job in jobs}
        self._running[child.pipe] = _Running(child, {job.id: job for job in jobs}, logs)
        with suppress(OSError):  # it died while idle: `wait` will see the closed pipe
            child.pipe.send(jobs[0] if len(jobs) == 1 else jobs)

    def wait(self) -> Done:
        while True:
            if self._ended:
                return self._ended.popleft()
            for pipe in wait(list(self._running)):
                assert isinstance(pipe, Connection), "only pipes are waited for"
                done = self._hear(pipe)
                if done is not None:
                    return done

    def close(self) -> None:
        while self._running:
            _, running = self._running.popitem()
            self._pool.end(running.child)
        self._pool.close()

    def _hear(self, pipe: Connection) -> Done | None:
        running = self._running[pipe]
        try:
            what, value = pipe.recv()
        except (EOFError, OSError):
            del self._running[pipe]
            self._ended += self._lost(running)
            return None
        if what == "said":
            self._tell(Said(value))
        elif what == "moved":
            (job,) = running.jobs.values()
            self._tell(StepMoved(job.step.label, *value))
        elif what == "all moved":
            ids, done, total = value
            for id_ in ids:
                self._tell(StepMoved(running.jobs[id_].step.label, done, total))
        else:
            ended: Done = value
            del running.jobs[ended.id]
            if not running.jobs:
                del self._running[pipe]
                self._pool.give_back(running.child)
            return ended
        return None

    def _lost(self, running: _Running) -> Sequence[Done]:
        """What the jobs come to whose child has ended."""
        first, *others = running.logs
        failure = self._pool.ended(running.child, first)
        untouched = [log for log in others if size_of(log) == running.logs[log]]
        copy_since(running.logs[first], first, untouched)  # it ended before it came to that
        return [Done(job.id, replace(failure, log=job.log)) for job in running.jobs.values()]
