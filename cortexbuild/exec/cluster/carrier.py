"""Contents between a client's store and the shared caches, for workers with stores of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...core.digest import File
from ...core.events import Event
from ...core.ports import Done, Job, Pull
from ...core.step import Failure, StepId
from ...store.local import LocalStore
from ...store.scratch import scratch
from ..errand import Errand
from .crew import Task
from .here import Here, told
from .parcel import Parcel, with_certificates
from .reach import Reach

SMALL = 1 << 20
"""Bytes of an output that is brought here whoever needs it: what was measured is read by people."""


class Carrier:
    """`keeps` tells which outputs are to be here, whatever their size."""

    def __init__(
        self, store: LocalStore, root: Path, reach: Reach, here: Here,
        keeps: Callable[[StepId], bool], tell: Callable[[Event], None],
    ) -> None:  # fmt: skip
        self._store, self._root, self._reach, self._here = store, root, reach, here
        self._keeps, self._tell = keeps, tell
        addresses, self._texts = with_certificates(reach.remotes, root)
        self._addresses = {address.name: address for address in addresses}

    def address(self, parcel: Parcel, *, shares: bool) -> Parcel:
        """A parcel that says where contents come from; and where they go, unless a worker `shares`
        this store."""
        to = None if shares else self._addresses[self._reach.to.name]
        remotes = tuple(self._addresses.values())
        return replace(parcel, remotes=remotes, to=to, certificates=self._texts)

    def send(self, task: Task, then: Callable[[Failure | None], None]) -> None:
        """See to it that what a task reads can be had by others."""
        trees = task.job.inputs.values()
        files = [file for tree in trees for file in tree.files]
        files += [task.details] if task.details else []
        self._here.ask(
            partial(self._reach.missing, files), partial(self._send_missing, task.job, then)
        )

    def receive(self, job: Job, done: Done, then: Callable[[Done], None]) -> None:
        """Record what was made elsewhere, and bring it if it is to be here."""
        trace = done.outcome
        assert not isinstance(trace, Failure), "only what was made is received"
        self._reach.note(trace.tree.files)
        if self._keeps(job.id) or trace.tree.size <= SMALL:
            pulling = replace(job, pull=Pull(trace.tree, trace, (self._reach.to,)))
            self._here.run(
                pulling,
                partial(told, self._tell, job),
                lambda came: then(_as_made(job, done, came)),
            )
            return
        with scratch(self._store.root) as folder:
            kept = self._store.keep_trace(trace, folder, replace=job.again == "replace")
        then(replace(done, outcome=kept))

    def _send_missing(
        self, job: Job, then: Callable[[Failure | None], None], missing: list[File]
    ) -> None:
        if not missing:
            then(None)
            return
        errand = Errand(
            job.step.label, job.store, str(self._root), job.log, send=tuple(missing),
            to=self._reach.to,
        )  # fmt: skip

        def sent(failure: Failure | None) -> None:
            if failure is None:
                self._reach.note(missing)
            then(failure)

        self._here.run(errand, partial(told, self._tell, job), sent)


def _as_made(job: Job, made: Done, came: Done | Failure) -> Done:
    """What was brought counts as made, where it was."""
    if isinstance(came, Failure):
        return Done(job.id, came)
    if isinstance(came.outcome, Failure):
        return came
    return replace(made, outcome=came.outcome)
