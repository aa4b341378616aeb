"""Build a target again beside the first time, and compare: are its keys true?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..core.digest import Tree
from ..core.events import Emit
from ..core.needs import UNBOUND, Capacity
from ..core.plan import Goal
from ..core.ports import Executor, Job, Store
from ..core.scheduling.agenda import Ready
from ..core.step import Failure, Kind
from .build import build
from .estimates import schedule_of
from .history import history
from .project import Project


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A step made twice. `differ` are the paths that are not the same; `promised` says whether its
    tool promises the same bytes."""

    label: str
    differ: Sequence[str]
    promised: bool


def rebuild(
    project: Project,
    goal: Goal,
    scratch: Store,
    executor: Executor,
    job_of: Callable[[Ready], Job],
    emit: Emit,
    capacity: Capacity = UNBOUND,
) -> Sequence[Rebuilt] | Failure:
    """Run every step below a goal in an empty store that has its sources, and compare.

    Only what was made before can be compared; the first failure ends it.
    """
    before = history(project, goal)
    elsewhere = replace(project, store=scratch)
    agenda = elsewhere.agenda_to((goal.model, *goal.checks))
    # Each step runs alone, so that what was made together is compared with what is not.
    schedule = schedule_of(elsewhere, agenda, capacity)
    failed = build(agenda, executor, job_of, emit, schedule=schedule)
    if failed:
        return next(iter(failed.values()))
    found = []
    for id_ in project.plan.chain((goal.model, *goal.checks)):
        step = project.plan.steps[id_]
        if step.kind is Kind.FETCH or id_ not in before or id_ not in agenda.traces:
            continue
        differ = differing(before[id_].tree, agenda.traces[id_].tree)
        promised = project.find_step_tool(step).determinism == "bit-exact"
        found.append(Rebuilt(step.label, differ, promised))
    return found


def differing(one: Tree, other: Tree) -> Sequence[str]:
    """The paths whose contents are not the same in both trees."""
    paths = sorted({file.path for tree in (one, other) for file in tree.files})
    return [path for path in paths if one.find(path) != other.find(path)]
