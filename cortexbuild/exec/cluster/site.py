"""A worker's side: what becomes of a job that comes to this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

from distributed import Worker, WorkerPlugin, get_worker

from ...core.digest import Tree
from ...core.ports import Done, Job
from ...core.step import Failure
from ...errors import CortexError
from ...store import drafts
from ...store.local import LocalStore
from ..errand import Errand
from ..pool import Child, Pool
from .parcel import Parcel, Report, take_log, whole_job

TOPIC = "cortexbuild"
PLUGIN = "cortexbuild"
PAUSE = 0.3
"""Seconds between two words on how far a step is."""
OVER = ("cancelled", "released", "forgotten")
"""What a task of ours comes to be that nobody waits for any more."""


Hold: TypeAlias = AbstractContextManager[object]


@dataclass(slots=True)
class _Running:
    child: Child | None = None
    told: float = 0.0


class Site(WorkerPlugin):  # type: ignore[misc]
    """Runs jobs in children, in a store, with their logs in a folder of that; meanwhile it has a
    `hold` on the store."""

    name = PLUGIN

    def __init__(
        self, store: Path, run: Path, pool: Pool, hold: Callable[[], Hold] = nullcontext
    ) -> None:
        self._store, self._run, self._pool, self._hold = store, run, pool, hold
        self._lock = Lock()
        self._running: dict[str, _Running] = {}
        self._worker: Worker | None = None

    def setup(self, worker: Worker) -> None:
        self._worker = worker

    def teardown(self, worker: Worker) -> None:
        del worker
        self._pool.close()

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Dask cannot stop what runs; we can."""
        if start in ("executing", "long-running", "cancelled") and finish in OVER:
            self._stop(str(key))

    def do(self, parcel: Parcel) -> Report:
        """In a thread of the worker's, as long as it takes."""
        log = self._run / f"{parcel.ticket}.log"
        with self._lock:
            self._running[parcel.ticket] = _Running()
        self._tell(parcel, "started", "")
        try:
            with self._hold():
                done = self._do(parcel, log)
        except CortexError as error:
            done = Done(parcel.job.id, Failure(str(error), error.hint, str(log), error.exit_code))
        finally:
            with self._lock:
                del self._running[parcel.ticket]
        return Report(done, take_log(log))

    def _do(self, parcel: Parcel, log: Path) -> Done:
        root = self._certificates(parcel)
        errand = Errand(parcel.job.step.label, str(self._store), str(root), str(log))
        with closing(LocalStore(self._store)) as store:
            if parcel.details is not None:
                details = Tree((parcel.details,))
                if failure := self._bring(parcel, errand, store, (details,)):
                    return Done(parcel.job.id, failure)
            job = whole_job(parcel, store)
            if failure := self._bring(parcel, errand, store, tuple(job.inputs.values())):
                return Done(job.id, failure)
        here = replace(job, store=str(self._store), root=str(root), log=str(log))
        done = self._in_child(parcel, here)
        assert isinstance(done, Done | Failure), "what a job comes to"
        if isinstance(done, Failure):
            return Done(job.id, done)
        if parcel.to is not None and not isinstance(done.outcome, Failure):
            sending = replace(errand, send=done.outcome.tree.files, to=parcel.to)
            sent = self._in_child(parcel, sending)
            if isinstance(sent, Failure):
                return Done(job.id, sent)
        return done

    def _bring(
        self, parcel: Parcel, errand: Errand, store: LocalStore, trees: tuple[Tree, ...]
    ) -> Failure | None:
        missing = tuple(tree for tree in trees if not store.has_tree(tree))
        if not missing:
            return None
        bringing = replace(errand, bring=missing, remotes=parcel.remotes)
        failure = self._in_child(parcel, bringing)
        return failure if isinstance(failure, Failure) else None

    def _in_child(self, parcel: Parcel, work: Job | Errand) -> object:
        """What comes of it; a Failure when the child ends before."""
        return self._pool.run(work, partial(self._tell, parcel), partial(self._show, parcel.ticket))

    def _show(self, ticket: str, child: Child | None) -> None:
        with self._lock:
            self._running[ticket].child = child
            if child is not None and self._is_off(ticket):
                child.kill()

    def _stop(self, ticket: str) -> None:
        with self._lock:
            running = self._running.get(ticket)
            if running is not None and running.child is not None:
                running.child.kill()

    def _is_off(self, ticket: str) -> bool:
        """Whether it was cancelled before it had a child that could be ended."""
        assert self._worker is not None, "jobs come by way of a worker"
        task = self._worker.state.tasks.get(ticket)
        return task is None or task.state != "executing"

    def _tell(self, parcel: Parcel, what: str, value: Any) -> None:
        """What a client hears while it waits; of how far a step is, some."""
        assert self._worker is not None, "jobs come by way of a worker"
        if what == "moved":
            now, running = time.monotonic(), self._running[parcel.ticket]
            if value[0] != value[1] and now - running.told < PAUSE:
                return
            running.told = now
        message = {"run": parcel.run, "ticket": parcel.ticket, "what": what, "value": value}
        self._worker.log_event(TOPIC, message)

    def _certificates(self, parcel: Parcel) -> Path:
        """The folder that `ca` of remotes is relative to."""
        for name, text in parcel.certificates.items():
            path = self._run / Path(name).name
            with self._lock:
                if not path.exists():
                    drafts.replace_text(path, text)
        return self._run


def do(parcel: Parcel) -> Report:
    """What Dask calls on a worker."""
    site = get_worker().plugins[PLUGIN]
    assert isinstance(site, Site), "jobs go to workers that have one"
    return site.do(parcel)
