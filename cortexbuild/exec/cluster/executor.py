"""The client's side: steps go to the workers of a cluster, each to one that it fits.

One thread asks and is told, `sync`'s. What Dask tells comes in its own threads, and so does what
comes of the work on this machine: all of it goes through one inbox, which `wait` reads.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from ...core.events import Event, Said
from ...core.needs import Needs
from ...core.ports import Done, Job
from ...core.step import Failure, Kind, Step
from ...errors import UsageError
from ...sources import find_source
from ...store.local import LocalStore
from ..pool import Pool
from .carrier import Carrier
from .crew import Crew, Member, Task, in_words
from .here import AT_ONCE, Here, told
from .offer import differences
from .parcel import MOST, Parcel, lighten
from .placing import Placing
from .reach import Reach
from .results import Results
from .terms import Terms

if TYPE_CHECKING:
    from .connect import Link, Put


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
        self._placing = Placing(self._crew, terms.patience)
        self._results = Results(self._carrier)

    def free(self) -> int:
        """Besides those that run some may wait, for a worker that has what not all have."""
        self._joined()
        spare = max(AT_ONCE, self._crew.slots()) - len(self._placing.waiting) - self._here.busy
        return self._crew.free() + spare

    def start(self, *jobs: Job) -> None:
        for job in jobs:  # each is placed by itself
            self._start(job)

    def _start(self, job: Job) -> None:
        self._joined()
        if job.pull is not None or _is_of_this_machine(job.step):
            self._here.run(
                job, partial(told, self._tell, job), partial(self._results.of_this_machine, job)
            )
            return
        sizes = {role: tree.size for role, tree in job.inputs.items()}
        self._queue(Task(job, self._terms.needs(job.step, sizes), *lighten(job, self._store)))

    def wait(self) -> Done:
        while True:
            if self._placing.stirred:
                self._placing.place(self._submit, self._give_up)
            if (done := self._results.next()) is not None:
                return done
            try:
                self._hear(*self._inbox.get(timeout=self._placing.next_look()))
            except Empty:
                self._placing.stirred = True

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

    def _joined(self) -> Link:
        """The link, with the first worker of which a cluster begins to be one."""
        if self._link is not None:
            return self._link
        link = self._link = self._connect(self._put)
        self._crew.meet(link.first_workers(self._terms.patience))
        if not self._crew.usable():
            raise UsageError(
                f"no worker can be used. {in_words(self._crew.unusable())}",
                hint="see docs/guides/run-on-a-cluster.md",
            )
        for text in differences(link.versions(), self._crew.offers()):
            self._tell(Said(text))
        return link

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
        elif what == "ended" and self._placing.whose(value):
            self._hear_of_end(value)

    def _meet(self, members: Sequence[Member]) -> None:
        for member in members:
            if member.wrong:
                self._tell(Said(f"{member.name} joined, and is not used: {member.wrong}"))
        for task in self._placing.take_waiting():
            self._queue(task)

    def _hear_of_step(self, message: Mapping[str, Any]) -> None:
        if message["what"] == "leaving":
            self._crew.is_leaving(message["value"])
        elif message["run"] == self._run and (member := self._placing.whose(message["ticket"])):
            job = member.running[message["ticket"]].job
            told(self._tell, job, message["what"], message["value"], member.name)

    def _hear_of_end(self, ticket: str) -> None:
        outcome = self._joined().outcome(ticket)
        if outcome is None:  # it went with its worker, of which the scheduler tells, too
            self._lose(ticket)
        else:
            task, member = self._placing.end(ticket)
            self._results.of_worker(task.job, member, outcome)

    def _lose(self, ticket: str) -> None:
        """The worker of a try of a step has ended."""
        self._joined().forget(ticket)
        task, member, poisoned = self._placing.lose(ticket)
        if poisoned is not None:
            self._results.fail(task.job, poisoned)
        else:
            self._tell(Said(f"{member.name} is gone; {task.job.step.label} runs again elsewhere"))
            self._queue(task)

    def _queue(self, task: Task) -> None:
        """It waits for a worker; where stores differ, once what it reads can be had."""
        if self._carrier is None or task.sent or all(m.shares for m in self._crew.usable()):
            self._placing.wait(task)
        else:
            self._carrier.send(task, partial(self._sent, task))

    def _sent(self, task: Task, failure: Failure | None) -> None:
        if failure is not None:
            self._results.fail(task.job, failure)
        else:
            task.sent = True
            self._queue(task)

    def _submit(self, task: Task, member: Member) -> None:
        self._tickets += 1
        ticket = f"{task.job.step.kind.value}-{self._run}-{self._tickets}"
        parcel = Parcel(ticket, self._run, task.light, details=task.details)
        if self._carrier is not None:
            parcel = self._carrier.address(parcel, shares=member.shares)
        if (size := self._joined().weight(parcel)) > MOST:
            self._results.fail(
                task.job, Failure(f"to tell of it takes {size} bytes, of at most {MOST}")
            )
            return
        self._placing.put(ticket, task, member)
        self._joined().submit(parcel, member.address, task.needs, member.room)

    def _give_up(self, task: Task, lacking: Mapping[str, str]) -> None:
        if not self._joined().is_up():
            raise self._joined().gone()
        self._results.fail(task.job, Failure(
            f"for {self._terms.patience:.0f} seconds no worker was there that could run it. "
            f"{in_words(lacking)}"
        ))  # fmt: skip


def _is_of_this_machine(step: Step) -> bool:
    return step.kind is Kind.FETCH and find_source(step.origin).local
