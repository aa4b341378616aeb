"""Run one job. The same function serves a process here and a machine elsewhere."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from ..core.digest import Tree
from ..core.lock import Pinned
from ..core.ports import Done, Job, Progress, Pull
from ..core.step import Failure, Kind, Trace
from ..errors import REPORT, CortexError
from ..redaction import redacted, without_logins
from ..remotes.receive import receive
from ..sources import find_source
from ..store.delivery import StoreDelivery
from ..store.local import LocalStore
from ..store.scratch import scratch
from ..store.steplock import step_lock
from ..store.trouble import told
from .errand import Errand, open_remotes, run_errand
from .making import keep, prepare, record, refuse_nothing, take_outputs

T = TypeVar("T")


def run(
    work: Job | Errand, say: Callable[[str], None], progress: Progress
) -> Done | Failure | None:
    """What came of a job; or why an errand was not done."""
    if isinstance(work, Job):
        return run_job(work, say, progress)
    with closing(LocalStore(Path(work.store))) as store:
        return outcome(partial(run_errand, work, store, say, progress), work.log, work.store)


def run_job(job: Job, say: Callable[[str], None], progress: Progress) -> Done:
    """Make the step's output and record it, unless another process did while we waited."""
    with closing(LocalStore(Path(job.store))) as store:
        done = outcome(partial(_do, job, store, say, progress), job.log, job.store)
    return Done(job.id, done) if isinstance(done, Failure) else done


def outcome(work: Callable[[], T], log: str, store: str) -> T | Failure:
    """What work gives, or why it gives nothing."""
    found = tried(work)
    if isinstance(found, CortexError):
        print(f"error: {found}", file=sys.stderr)
        return Failure(str(found), found.hint, log, found.exit_code)
    if isinstance(found, Exception | SystemExit):
        traceback.print_exception(found)
        known = told(found, store) if isinstance(found, OSError) else None
        if known is not None:
            return Failure(str(known), known.hint, log, known.exit_code)
        return Failure(redacted(f"{type(found).__name__}: {found}"), REPORT, log)
    return found


def tried(work: Callable[[], T]) -> T | Exception | SystemExit:
    """What work gives, or what it raises."""
    try:
        return work()
    except (Exception, SystemExit) as error:  # the one place where any is an outcome, not a crash
        return error


def made_meanwhile(job: Job, store: LocalStore) -> Done | None:
    """What another process made; None if the step has to be made here."""
    found = store.trace(job.key, job.ingredients)
    if found is not None and job.again == "no" and store.has_tree(found.tree):
        return Done(job.id, found, reused=True)
    return None


def _do(job: Job, store: LocalStore, say: Callable[[str], None], progress: Progress) -> Done:
    with step_lock(store.root, job.key, job.step.label, say, job.patience):
        if (done := made_meanwhile(job, store)) is not None:
            return done
        if job.pull is not None:
            return _pull(job, job.pull, store, say, progress)
        return Done(job.id, _make(job, store, say, progress))


def _make(job: Job, store: LocalStore, say: Callable[[str], None], progress: Progress) -> Trace:
    started = time.monotonic()
    with scratch(store.root) as folder:
        tree = _run(job, store, folder, progress)
        return record(job, tree, time.monotonic() - started, store, folder, say)


def _pull(
    job: Job, pull: Pull, store: LocalStore, say: Callable[[str], None], progress: Progress
) -> Done:
    """Bring the output of a step from a remote, and record it as it was recorded there."""
    started = time.monotonic()
    remotes = open_remotes(pull.remotes, Path(job.root), say)
    with scratch(store.root) as folder:
        with closing(StoreDelivery(store, pull.tree, folder, progress)) as delivery:
            came = receive(pull.tree, remotes, store, delivery, say)
        # Only a source is known without a record.
        origin = {"origin": without_logins(job.step.origin)}
        trace = pull.trace or Trace(job.key, job.ingredients, pull.tree, job.step.label, origin)
        kept = keep(job, trace, store, folder, say)
    return Done(job.id, kept, pulled=came, seconds=time.monotonic() - started)


def _run(job: Job, store: LocalStore, folder: Path, progress: Progress) -> Tree:
    step = job.step
    if step.kind is Kind.FETCH:
        assert step.tree is not None, "a fetch knows what it brings"
        pinned = Pinned(step.origin, step.tree, {}, step.commit)
        with closing(StoreDelivery(store, step.tree, folder, progress)) as delivery:
            find_source(step.origin).fetch(pinned, Path(job.root), delivery)
        return step.tree

    making = prepare(job, store, folder, progress)
    making.tool.run(making.run, making.params)
    (made,) = take_outputs([making], store)
    return refuse_nothing(making, made)
