"""What steps came to, for a build to hear of one after the other."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path

from ...core.ports import Done, Job
from ...core.step import Failure
from .carrier import Carrier
from .crew import Member
from .parcel import Report


class Results:
    """With a `carrier`, what is made in another store is brought or recorded before it counts."""

    def __init__(self, carrier: Carrier | None) -> None:
        self._carrier = carrier
        self._over: deque[Done] = deque()

    def next(self) -> Done | None:
        return self._over.popleft() if self._over else None

    def fail(self, job: Job, failure: Failure) -> None:
        self._over.append(Done(job.id, replace(failure, log=job.log)))

    def of_this_machine(self, job: Job, done: Done | Failure) -> None:
        self._over.append(Done(job.id, done) if isinstance(done, Failure) else done)

    def of_worker(self, job: Job, member: Member, outcome: Report | str) -> None:
        if not isinstance(outcome, Report):
            self.fail(job, Failure(f"on {member.name}: {outcome}"))
            return
        Path(job.log).write_text(outcome.log)
        done = outcome.done
        if isinstance(done.outcome, Failure):
            message = f"on {member.name}: {done.outcome.message}"
            self.fail(job, replace(done.outcome, message=message))
        elif member.shares or self._carrier is None:
            self._over.append(done)
        else:
            trees = (*job.inputs.values(), done.outcome.tree)
            member.has.update(file.digest for tree in trees for file in tree.files)
            self._carrier.receive(job, done, self._over.append)
