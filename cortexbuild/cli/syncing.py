"""One sync with the real parts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from ..app.build import After
from ..app.course import Course
from ..app.explain import foresee, outlook
from ..app.project import Project
from ..app.ran import after as after_run
from ..app.sync import Outcome
from ..app.sync import sync as app_sync
from ..core.digest import Digest
from ..core.events import Event, Said, StepChanged
from ..core.needs import Capacity
from ..core.plan import Scope
from ..core.ports import Executor
from ..core.step import StepId
from ..errors import BuildFailed, StoreError
from ..store.roots import root_of
from ..store.storelock import store_lock
from . import wire, words
from .beside import keep_last, keep_logs, keep_run, read_lock, read_run, write_lock
from .cluster import PLENTY, Machines, ends, open_cluster
from .dropping import drop
from .logs import following, log_name
from .machine import capacity
from .prune import note_root
from .runs import end_run, new_run

SEE_ABOVE = "what was wrong with each is said above; `cortexbuild log` shows their logs"


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """How a sync is run: `jobs` at once, with `patience` in seconds for what another process
    makes; what is run `again` is compared with what was kept, or replaces it. Intermediates are
    kept if cortex.yaml and this say so. Without `machines`, steps run on this one. With `follow`,
    what steps write to their logs is told of meanwhile."""

    jobs: int | None = None
    after: After = After()
    patience: float | None = None
    again: Literal["compare", "replace"] = "compare"
    keep_intermediates: bool = True
    machines: Machines | None = None
    follow: bool = False


def run_sync(
    project: Project,
    scope: Scope,
    emit: Callable[[Event], None],
    options: SyncOptions = SyncOptions(),
) -> Outcome:
    """One sync with the real parts. What was pinned is locked first; the last keys are kept for
    `why`, and what became of each step for `report`. No bytes go from the store meanwhile, but
    for intermediates of this sync that are not to be kept."""
    changes: list[StepChanged] = []
    labels = {log_name(step.label): step.label for step in project.plan.steps.values()}
    look: Callable[[], None] = _unseen

    def hear(event: Event) -> None:
        if isinstance(event, StepChanged):
            changes.append(event)
            look()  # its last lines come before its end
        emit(event)

    store = wire.store_of(project)
    with store_lock(store.root, "sync", lambda text: emit(Said(text)), options.patience):
        store.look_anew()
        if project.lock != project.locked:  # a frozen one is never another
            write_lock(project.root, project.lock)
        note_root(project, {})
        wire.sweep_drafts(project)
        run = new_run(store)
        room = capacity(project.manifest.resources, options.jobs)
        forced = project.plan.forced(scope)
        executor, course = _executor(project, scope, run, room, emit, options, forced)
        keep = options.keep_intermediates and project.manifest.cache.keep_intermediates
        held: set[Digest] = set()  # what was there before
        let_go = partial(drop, store, root_of(store.root, project.root).name, held)

        def prepare() -> None:
            check_room(project, scope, room, keep=keep, only=_only(project, scope, options))
            if not keep:
                held.update(store.blobs())

        job_of = partial(wire.job_of, project, run, options.patience, forced, options.again)
        how = replace(course, drop=None if keep else let_go)
        try:
            with ExitStack() as stack:
                if options.follow:
                    look = stack.enter_context(following(run, labels, emit)).look
                outcome = app_sync(project, scope, executor, job_of, hear, how, prepare=prepare)
        finally:
            executor.close()
            logs = {labels[log.name]: str(log) for log in run.iterdir() if log.name in labels}
            keep_logs(project.root, logs)
            end_run(store, run)
        _write_down(project, changes, outcome)
    return outcome


def _unseen() -> None:
    """Logs are not followed."""


def _write_down(project: Project, changes: Sequence[StepChanged], outcome: Outcome) -> None:
    """What became of each step, and under which key."""
    keep_last(project.root, outcome.keys)
    before = read_run(project.root)
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    now = after_run(before, changes, outcome.failed, at, project.plan.steps)
    if not now.says_the_same(before):
        keep_run(project.root, now)
    note_root(project, outcome.keys)


def keep_settled(project: Project, outcome: Outcome) -> None:
    """Lock where targets that have several ways ended, so that none is searched again."""
    lock = read_lock(project.root) or project.lock  # another command may have written it meanwhile
    settled = {**lock.settled, **outcome.settled}
    if settled != lock.settled:
        write_lock(project.root, replace(lock, settled=settled))


def _only(project: Project, scope: Scope, options: SyncOptions) -> Set[StepId] | None:
    """The steps whose outputs come here; None for all."""
    carries = options.machines is not None and options.machines.reach is not None
    return ends(project, scope) if carries else None


def _executor(
    project: Project, scope: Scope, run: Path, room: Capacity, emit: Callable[[Event], None],
    options: SyncOptions, forced: Set[StepId],
) -> tuple[Executor, Course]:  # fmt: skip
    """Where steps run, and what follows from that for their course. On a cluster each is placed by
    itself; and what is forced is compared with what was made before, so it runs alone, too."""
    if options.machines is None:
        course = Course(room, options.after, may_join=lambda id_: id_ not in forced)
        return wire.open_executor(room, emit), course
    cluster = open_cluster(project, scope, run, room, options.machines, emit)
    return cluster, Course(PLENTY, options.after, refuse=cluster.misfit)


def check_room(
    project: Project, scope: Scope, room: Capacity, *, keep: bool, only: Set[StepId] | None = None
) -> None:
    """Raises StoreError when what will be brought and made does not fit on the disk.

    What is downloaded and made is moved into the store and not copied, so nothing counts twice;
    and what does not `keep` until the end counts for as long as it does. Where steps run elsewhere,
    `only` the outputs of some come here.
    """
    steps = [step for step in outlook(project, scope) if step.state != "fresh"]
    steps = [step for step in steps if only is None or step.id in only]
    if not steps:
        return
    needed = foresee(project, steps, room, keep=keep).peak
    free = shutil.disk_usage(project.store.root).free
    if needed > free:
        largest = max(steps, key=lambda step: step.size)
        raise StoreError(
            f"about {words.size(needed)} are to be written to {project.store.root}, and "
            f"{words.size(free)} are free",
            hint=f"most of it is {largest.step.label} ({words.size(largest.size)}); make room, or "
            "set CORTEX_HOME to a folder on a larger disk",
        )


def raise_if_failed(outcome: Outcome) -> None:
    failed = {label: failure.message for label, failure in outcome.failed.items()}
    for one in outcome.targets:
        if one.wrong and (one.tree is not None or not outcome.failed):
            failed[one.target] = "; ".join(one.wrong)
    if failed:
        # When several apply: wrong bytes, a failed step, the network, a lock that was not obtained.
        codes = {failure.code for failure in outcome.failed.values()}
        codes |= {one.code for one in outcome.targets if one.wrong and one.tree is not None}
        code = next((code for code in (6, 1, 2, 5, 4) if code in codes), 1)
        code = 1 if code == 2 else code
        hints = [failure.hint for failure in outcome.failed.values() if failure.hint]
        raise BuildFailed(failed, hint=hints[0] if len(hints) == 1 else SEE_ABOVE, code=code)
