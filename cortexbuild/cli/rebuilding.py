"""`verify --rebuild`: the real parts for building a target a second time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ..app.generate import find_built
from ..app.measured import goal_that_counts
from ..app.project import Project
from ..app.rebuild import Rebuilt, rebuild
from ..core.events import Emit, Said
from ..core.plan import Goal
from ..core.step import Failure, Kind
from ..errors import REPORT, BuildFailed
from ..store import disk
from ..store.local import LocalStore
from ..store.scratch import scratch
from ..store.storelock import store_lock
from . import wire
from .machine import capacity
from .runs import new_run


def rebuild_target(project: Project, pattern: str, emit: Emit) -> Sequence[Rebuilt]:
    """Raises BuildFailed when it cannot be built again."""
    built = find_built(project, pattern)
    goal, _ = goal_that_counts(project, built.target)
    store = wire.store_of(project)

    def say(text: str) -> None:
        emit(Said(text))

    with store_lock(store.root, "verify --rebuild", say), scratch(store.root) as folder:
        second = LocalStore(folder / "store")
        room = capacity(project.manifest.resources)
        executor = wire.open_executor(room, emit)
        try:
            _lend_sources(project, goal, store, second)
            run = new_run(store)
            beside = replace(project, store=second)
            job_of = partial(wire.job_of, beside, run, None, frozenset(), "compare")
            found = rebuild(project, goal, second, executor, job_of, emit, room)
        finally:
            executor.close()
            second.close()
    if isinstance(found, Failure):
        raise BuildFailed({built.target: found.message}, hint=found.hint or REPORT, code=found.code)
    return found


def _lend_sources(project: Project, goal: Goal, store: LocalStore, second: LocalStore) -> None:
    """What was fetched is not fetched again: its bytes are known by their sha256."""
    for id_ in project.plan.chain((goal.model, *goal.checks)):
        step = project.plan.steps[id_]
        if step.kind is Kind.FETCH and step.tree is not None and store.has_tree(step.tree):
            for file in step.tree.files:
                dest = second.blob(file.digest)
                disk.make_passing_folder(dest.parent)
                if not dest.exists():
                    disk.symlink(store.blob(file.digest), dest)
