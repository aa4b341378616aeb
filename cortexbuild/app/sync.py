"""`cortexbuild sync`: make every target what cortex.yaml says it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.digest import Tree
from ..core.events import Emit, Said, StepChanged
from ..core.lock import Settled
from ..core.plan import Goal, Scope
from ..core.ports import Executor, Job
from ..core.scheduling.agenda import Agenda, Ready
from ..core.step import Failure, StepKey
from ..errors import StoreError
from .climb import Climb
from .course import PLAIN, Builds, Course
from .measured import problems_of
from .project import Project
from .provenance import statement
from .record import difference


@dataclass(frozen=True, slots=True)
class Synced:
    """One target after a sync. `wrong` says why it was not put in its place; empty if it was.

    `code` is the exit code that such a wrong ends a command with.
    """

    target: str
    path: Path
    tree: Tree | None
    wrong: tuple[str, ...]
    code: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """`keys` has, by label, the key of each step that is made now. `settled` says on which of
    their ways targets that have several ended."""

    targets: Sequence[Synced]
    failed: Mapping[str, Failure]
    keys: Mapping[str, StepKey]
    settled: Mapping[str, Settled]


def sync(
    project: Project,
    scope: Scope,
    executor: Executor,
    job_of: Callable[[Ready], Job],
    emit: Emit,
    course: Course = PLAIN,
    *,
    prepare: Callable[[], None] = lambda: None,
) -> Outcome:
    """Build what must be built, judge it, and let the views show what is good.

    `prepare` is called when there is something to build, before the first step of it runs.
    When the scope ends early, a target that is not complete is left out of the outcome.
    """
    plan = project.plan
    for target in scope.targets:
        for goal in plan.goals[target].rungs():
            project.views.check_ours(target, goal.format)
    agenda = project.agenda(scope)
    for id_ in plan.chain(plan.ends(scope)):
        if agenda.state(id_) in ("fresh", "unneeded"):
            emit(StepChanged(id_, plan.steps[id_].label, "fresh"))
    climbs = [Climb(project, target) for target in scope.targets if scope.until is None]
    climbs = [climb for climb in climbs if climb.goal.otherwise is not None]
    builds = Builds(project, executor, job_of, emit, course)
    if agenda.unfinished():
        prepare()
    agenda, failed = builds.build(agenda, scope, climbs)
    keys = {id_: trace.key for id_, trace in agenda.traces.items()}
    ends = {target: (plan.goals[target], agenda) for target in scope.targets}

    for number, climb in enumerate(climbs):
        made = agenda
        while climb.goal.otherwise is not None and (wrong := climb.wrong(made, failed)):
            climb.up(wrong)
            emit(Said(f"{climb.target}: {climb.said()}"))
            rung = Scope((climb.target,), rung=climb.rung)
            made, more = builds.build(project.agenda(rung), rung, climbs[number:])
            failed |= more
            keys |= {id_: trace.key for id_, trace in made.traces.items()}
            ends[climb.target] = climb.goal, made
    builds.finish()

    # What failed on a way that was left is of no matter, unless another target stands on it.
    stands = [id_ for goal, _ in ends.values() for id_ in goal.ends]
    needed = frozenset(plan.chain(stands))
    failed = {id_: failure for id_, failure in failed.items() if id_ in needed}

    synced = [
        _show(project, target, goal, made)
        for target, (goal, made) in ends.items()
        if scope.until is None or made.is_done(goal)
    ]
    good = {one.target for one in synced if one.tree is not None and not one.wrong}
    labels = {id_: step.label for id_, step in plan.steps.items()}
    return Outcome(
        synced,
        {labels[id_]: failure for id_, failure in failed.items()},
        {labels[id_]: key for id_, key in keys.items()},
        {climb.target: climb.settled() for climb in climbs if climb.target in good},
    )


def _show(project: Project, target: str, goal: Goal, agenda: Agenda) -> Synced:
    path = project.views.path(target, goal.format)
    if not agenda.is_done(goal):
        return Synced(target, path, None, ("a step it needs did not succeed",))
    tree = agenda.tree(goal.model)
    assert tree is not None, "a step that is done has a tree"
    wrong = list(problems_of(project, agenda, goal))
    trace = agenda.traces.get(goal.model)
    if trace is not None and (differs := difference(project, target, trace)):
        return Synced(target, path, tree, (differs,), code=6)
    moved = not wrong and not project.views.is_whole(target, goal.format, tree)
    if moved:
        try:
            project.views.show(target, goal.format, tree)
        except StoreError as error:
            wrong.append(str(error))
    old = moved or agenda.has_run(goal.model) or not project.views.has_note(target, goal.format)
    if not wrong and old:
        found = statement(project, target, goal, agenda.traces)
        project.views.note(target, goal.format, json.dumps(found, indent=1) + "\n")
    return Synced(target, path, tree, tuple(wrong))
