"""The client's side: steps go to the workers of a cluster, each to one that it fits.

One thread asks and is told, `sync`'s. What Dask tells comes in its own threads, and so does what
comes of the work on this machine: all of it goes through one inbox, which `wait` reads.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from ...core.events import Event, Said, StepChanged, StepMoved
from ...core.needs import Needs
from ...core.ports import Done, Job
from ...core.step import Failure, Kind, Step, StepId
from ...errors import RemoteError, UsageError
from ...sources import find_source
from ...store.local import LocalStore
from ..pool import Pool
from .carrier import Carrier
from .crew import Crew, Member, Task, in_words
from .here import AT_ONCE, Here
from .parcel import MOST, Parcel, Report, lighten
from .reach import Reach

if TYPE_CHECKING:
    from .connect import Link, Put

DEATHS = 2
"""How many workers may end while they run one step; after one more it is taken for the reason."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a cluster is used. `needs` tells what a step takes of a machine, by the bytes of its
    inputs; `keeps` which outputs are to be here whatever their size. A step fails after
    `patience` seconds in which no worker was there that could run it."""

    needs: Callable[[Step, Mapping[str, int]], Needs]
    keeps: Callable[[StepId], bool]
    patience: float


class ClusterExecutor:
    """`connect` is called when there is something to run. `reach` is of the shared caches, where
    there is one to write to; `root` is the folder of cortex.yaml."""

    def __init__(
        self, store: LocalStore, root: Path, pool: Pool, connect: Callable[[Put], Link],
        reach: Reach | None, terms: Terms, tell: Callable[[Event], None],
    ) -> None:  # fmt: skip
        self._store, self._terms, self._tell = store, terms, tell
        self._inbox: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._here = Here(pool, self._put)
        self._carrier = (
            Carrier(store, root, reach, self._here, terms.keeps, tell) if reach else None
        )
        self._crew = Crew(store.root, carries=reach is not None)
        self._connect = connect
        self._link: Link | None = None
        self._run, self._tickets = uuid.uuid4().hex[:12], 0
        self._waiting: list[Task] = []
        self._stirred = False  # something is so that a step that waits may find a worker
        self._placed: dict[str, Member] = {}
        self._over: deque[Done] = deque()

    # -- what a build asks

    def free(self) -> int:
        """Besides those that run some may wait, for a worker that has what not all have."""
        self._joined()
        spare = max(AT_ONCE, self._crew.slots()) - len(self._waiting) - self._here.busy
        return self._crew.free() + spare

    def start(self, job: Job) -> None:
        self._joined()
        if job.pull is not None or _is_of_this_machine(job.step):
            self._here.run(job, partial(self._told, job, ""), partial(self._end_here, job))
            return
        sizes = {role: tree.size for role, tree in job.inputs.items()}
        self._queue(Task(job, self._terms.needs(job.step, sizes), *lighten(job, self._store)))

    def wait(self) -> Done:
        while True:
            if self._stirred:
                self._place()
            if self._over:
                return self._over.popleft()
            try:
                self._hear(*self._inbox.get(timeout=self._next_look()))
            except Empty:
                self._stirred = True

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()
        self._here.close()

    def misfit(self, step: Step, needs: Needs) -> Failure | None:
        """Why no worker that is there can run a step; None if one can."""
        if _is_of_this_machine(step):
            return None
        self._joined()
        lacking = self._crew.lacking(step, needs)
        return Failure(f"no worker can run it. {in_words(lacking)}") if lacking else None

    # -- who is there

    def _joined(self) -> Link:
        """The link, with the first worker of which a cluster begins to be one."""
        if self._link is not None:
            return self._link
        link = self._link = self._connect(self._put)
        until = time.monotonic() + self._terms.patience
        while not (told := link.workers()):
            if time.monotonic() > until:
                raise RemoteError(
                    f"there is no worker at {link.address}",
                    hint=f"`cortexbuild worker --scheduler {link.address}` starts one",
                )
            time.sleep(0.1)
        self._crew.meet(told)
        if not self._crew.usable():
            raise UsageError(
                f"no worker can be used. {in_words(self._crew.unusable())}",
                hint="see docs/guides/run-on-a-cluster.md",
            )
        for text in link.differences(self._crew.offers()):
            self._tell(Said(text))
        return link

    # -- what is heard

    def _put(self, what: str, value: Any) -> None:
        self._inbox.put((what, value))

    def _hear(self, what: str, value: Any) -> None:
        if what == "here":
            value()
        elif what == "said":
            self._hear_of_step(value)
        elif what == "joined":
            self._meet(self._crew.meet(self._joined().workers()))
        elif what == "left":
            for ticket in self._crew.leave(value):
                self._lose(ticket)
        elif what == "ended" and value in self._placed:
            self._hear_of_end(value)

    def _meet(self, members: Sequence[Member]) -> None:
        for member in members:
            if member.wrong:
                self._tell(Said(f"{member.name} joined, and is not used: {member.wrong}"))
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            self._queue(task)

    def _hear_of_step(self, message: Mapping[str, Any]) -> None:
        if message["what"] == "leaving":
            self._crew.is_leaving(message["value"])
        elif message["run"] == self._run and (member := self._placed.get(message["ticket"])):
            job = member.running[message["ticket"]].job
            self._told(job, member.name, message["what"], message["value"])

    def _told(self, job: Job, where: str, what: str, value: Any) -> None:
        if what == "started":
            self._tell(StepChanged(job.id, job.step.label, "started", f"on {where}"))
        elif what == "moved":
            self._tell(StepMoved(job.step.label, *value))
        else:
            self._tell(Said(f"{where}: {value}" if where else value))

    def _hear_of_end(self, ticket: str) -> None:
        outcome = self._joined().outcome(ticket)
        if outcome is None:  # it went with its worker, of which the scheduler tells, too
            self._lose(ticket)
            return
        member, self._stirred = self._placed.pop(ticket), True
        job = member.running.pop(ticket).job
        if not isinstance(outcome, Report):
            self._fail(job, Failure(f"on {member.name}: {outcome}"))
            return
        Path(job.log).write_text(outcome.log)
        done = outcome.done
        if isinstance(done.outcome, Failure):
            message = f"on {member.name}: {done.outcome.message}"
            self._fail(job, replace(done.outcome, message=message))
        elif member.shares or self._carrier is None:
            self._over.append(done)
        else:
            trees = (*job.inputs.values(), done.outcome.tree)
            member.has.update(file.digest for tree in trees for file in tree.files)
            self._carrier.receive(job, done, self._over.append)

    def _end_here(self, job: Job, done: Done | Failure) -> None:
        self._over.append(Done(job.id, done) if isinstance(done, Failure) else done)

    def _fail(self, job: Job, failure: Failure) -> None:
        self._over.append(Done(job.id, replace(failure, log=job.log)))

    def _lose(self, ticket: str) -> None:
        """The worker of a try of a step has ended."""
        member = self._placed.pop(ticket)
        task = member.running.pop(ticket)
        self._joined().forget(ticket)
        if not member.leaving:
            task.died.append(member.name)
        if len(task.died) > DEATHS:
            self._fail(task.job, Failure(
                f"its workers ended while they ran it: {', '.join(task.died)}",
                hint="it may take more memory than it says: the machines' own logs tell",
            ))  # fmt: skip
        else:
            self._tell(Said(f"{member.name} is gone; {task.job.step.label} runs again elsewhere"))
            self._queue(task)

    # -- what goes out

    def _queue(self, task: Task) -> None:
        """It waits for a worker; where stores differ, once what it reads can be had."""
        if self._carrier is None or task.sent or all(m.shares for m in self._crew.usable()):
            self._waiting.append(task)
            self._stirred = True
        else:
            self._carrier.send(task, partial(self._sent, task))

    def _sent(self, task: Task, failure: Failure | None) -> None:
        if failure is not None:
            self._fail(task.job, failure)
        else:
            task.sent = True
            self._queue(task)

    def _place(self) -> None:
        """What waits goes out, as far as there is room."""
        self._stirred = False
        rooms = self._crew.rooms()
        idle = {member: left for member, left in rooms.items() if left.jobs > 0}
        for task in list(self._waiting):
            member = self._crew.choose(task, idle if task.needs.cores else rooms)
            if member is not None:
                self._waiting.remove(task)
                self._submit(task, member)
                rooms[member] = member.left()
                if rooms[member].jobs:
                    idle[member] = rooms[member]
                else:
                    idle.pop(member, None)
            elif lacking := self._crew.lacking(task.job.step, task.needs):
                self._wait_for_worker(task, lacking)
            else:
                task.since = None

    def _submit(self, task: Task, member: Member) -> None:
        self._tickets += 1
        ticket = f"{task.job.step.kind.value}-{self._run}-{self._tickets}"
        parcel = Parcel(ticket, self._run, task.light, details=task.details)
        if self._carrier is not None:
            parcel = self._carrier.address(parcel, shares=member.shares)
        if (size := self._joined().weight(parcel)) > MOST:
            self._fail(task.job, Failure(f"to tell of it takes {size} bytes, of at most {MOST}"))
            return
        member.running[ticket] = task
        self._placed[ticket] = member
        self._joined().submit(parcel, member.address, task.needs, member.room)

    def _wait_for_worker(self, task: Task, lacking: Mapping[str, str]) -> None:
        if not self._joined().is_up():
            raise self._joined().gone()
        now = time.monotonic()
        task.since = task.since or now
        if now >= task.since + self._terms.patience:
            self._waiting.remove(task)
            self._fail(task.job, Failure(
                f"for {self._terms.patience:.0f} seconds no worker was there that could run it. "
                f"{in_words(lacking)}"
            ))  # fmt: skip

    def _next_look(self) -> float | None:
        since = [task.since for task in self._waiting if task.since is not None]
        return max(0.05, min(since) + self._terms.patience - time.monotonic()) if since else None


def _is_of_this_machine(step: Step) -> bool:
    return step.kind is Kind.FETCH and find_source(step.origin).local
