"""Run several jobs in one go, of a tool that can do them `together`.

Each has its own lock, folders, output, trace and log, so that nobody can tell afterwards how it was
made. What goes wrong with all of them is nobody's failure yet: then each is run alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from ..core.digest import Tree
from ..core.ports import Done, Job, Progress
from ..core.step import Failure, Trace
from ..store.local import LocalStore
from ..store.scratch import scratch
from ..store.steplock import step_lock
from .logs import copy_since, flush, log_to, size_of
from .making import Making, prepare, record, refuse_nothing, take_outputs
from .worker import made_meanwhile, outcome, run_job, tried


def run_together(
    jobs: Sequence[Job],
    say: Callable[[str], None],
    progress_of: Callable[[Sequence[Job]], Progress],
) -> Iterator[Done]:
    """What came of each, one after the other. What is printed while they are done together goes to
    the log of the first, and then to those of all."""
    first, *others = jobs
    log_to(Path(first.log))
    start = size_of(first.log)
    ended = _at_once(jobs, say, progress_of(jobs))
    flush()
    copy_since(start, first.log, [job.log for job in others])
    yield from ended
    over = {done.id for done in ended}
    for job in jobs:
        if job.id not in over:
            log_to(Path(job.log))
            yield run_job(job, say, progress_of([job]))


def _at_once(jobs: Sequence[Job], say: Callable[[str], None], progress: Progress) -> list[Done]:
    """Of those that came to an end here: made together, made by another process meanwhile, or held
    by one for too long."""
    ended: list[Done] = []
    error = tried(partial(_end_some, jobs, say, progress, ended))
    if error is not None:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"all at once it did not work, so each step runs alone: {said}", file=sys.stderr)
    return ended


def _end_some(
    jobs: Sequence[Job], say: Callable[[str], None], progress: Progress, ended: list[Done]
) -> None:
    with closing(LocalStore(Path(jobs[0].store))) as store, ExitStack() as locks:
        ours = _claim(jobs, store, locks, say, ended)
        if len(ours) > 1:
            ended += _make(ours, store, say, progress)


def _claim(
    jobs: Sequence[Job], store: LocalStore, locks: ExitStack, say: Callable[[str], None],
    ended: list[Done],
) -> list[Job]:  # fmt: skip
    """Lock those that are to be made here; of the others, `ended` hears."""
    # Two of one key would wait for each other: the second is run later, and finds it made. And in
    # the order of their keys, no two processes wait for each other.
    ours = set()
    for _, job in sorted({job.key: job for job in reversed(jobs)}.items()):
        lock = step_lock(store.root, job.key, job.step.label, say, job.patience)
        failure = outcome(partial(locks.enter_context, lock), job.log, job.store)
        if failure is not None:
            ended.append(Done(job.id, failure))
        elif (done := made_meanwhile(job, store)) is not None:
            ended.append(done)
        else:
            ours.add(job.id)
    return [job for job in jobs if job.id in ours]


def _make(
    jobs: Sequence[Job], store: LocalStore, say: Callable[[str], None], progress: Progress
) -> list[Done]:
    started = time.monotonic()
    with ExitStack() as folders:
        makings = [
            prepare(job, store, folders.enter_context(scratch(store.root)), progress)
            for job in jobs
        ]
        together = makings[0].tool.together
        assert together is not None, "only steps of a tool that has it are started at once"
        together([(making.run, making.params) for making in makings])
        trees = [
            outcome(partial(refuse_nothing, making, tree), making.job.log, making.job.store)
            for making, tree in zip(makings, take_outputs(makings, store), strict=True)
        ]
        seconds = (time.monotonic() - started) / len(jobs)  # a share: reports add them up
        return [
            Done(making.job.id, _recorded(making, tree, seconds, store, say))
            for making, tree in zip(makings, trees, strict=True)
        ]


def _recorded(
    making: Making, tree: Tree | Failure, seconds: float, store: LocalStore,
    say: Callable[[str], None],
) -> Trace | Failure:  # fmt: skip
    if isinstance(tree, Failure):
        return tree
    job = making.job
    recording = partial(record, job, tree, seconds, store, making.folder, say)
    return outcome(recording, job.log, job.store)
