"""`cortexbuild sync`: make every target what cortex.yaml says it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.agenda import Agenda, Ready
from ..core.digest import Tree
from ..core.events import Emit, StepChanged
from ..core.judge import judge
from ..core.plan import Scope
from ..core.ports import Executor, Job
from ..core.step import Failure, StepId, StepKey
from ..errors import StoreError
from .build import AfterFailure, build
from .project import Project


@dataclass(frozen=True, slots=True)
class Synced:
    """One target after a sync. `wrong` says why it was not put in its place; empty if it was."""

    target: str
    path: Path
    tree: Tree | None
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`keys` has, by label, the key of each step that is made now."""

    targets: Sequence[Synced]
    failed: Mapping[str, Failure]
    keys: Mapping[str, StepKey]
    interrupted: bool = False


def sync(
    project: Project,
    scope: Scope,
    executor: Executor,
    job_of: Callable[[Ready], Job],
    emit: Emit,
    *,
    after_failure: AfterFailure = "finish",
) -> Outcome:
    """Build what must be built, judge it, and let the views show what is good.

    When the scope ends early, a target that is not complete is left out of the outcome.
    """
    for target in scope.targets:
        project.views.check_ours(target, project.plan.goals[target].format)
    agenda = project.agenda(scope)
    for id_ in project.plan.chain(project.plan.ends(scope)):
        if agenda.state(id_) in ("fresh", "unneeded"):
            emit(StepChanged(id_, project.plan.steps[id_].label, "fresh"))
    failed = build(agenda, executor, job_of, emit, after_failure=after_failure)
    shown = [t for t in scope.targets if scope.until is None or agenda.is_done(t)]
    synced = [_show(project, agenda, target) for target in shown]
    keys = {project.plan.steps[id_].label: trace.key for id_, trace in agenda.traces.items()}
    return Outcome(synced, _labelled(project, failed), keys)


def measures_of(project: Project, agenda: Agenda, target: str) -> list[Mapping[str, Any]]:
    """What was measured of a target, as far as it is known."""
    found = []
    for check in project.plan.goals[target].checks:
        tree = agenda.tree(check)
        file = tree.find("measures.json") if tree is not None else None
        if file is not None and project.store.has_tree(Tree((file,))):
            found.append(json.loads(project.store.blob(file.digest).read_text()))
    return found


def _show(project: Project, agenda: Agenda, target: str) -> Synced:
    goal = project.plan.goals[target]
    path = project.views.path(target, goal.format)
    if not agenda.is_done(target):
        return Synced(target, path, None, ("a step it needs did not succeed",))
    tree = agenda.tree(goal.model)
    assert tree is not None, "a step that is done has a tree"
    wrong = [problem for m in measures_of(project, agenda, target) for problem in judge(m)]
    if not wrong and not project.views.is_whole(target, goal.format, tree):
        try:
            project.views.show(target, goal.format, tree)
        except StoreError as error:
            wrong.append(str(error))
    return Synced(target, path, tree, tuple(wrong))


def _labelled(project: Project, failed: Mapping[StepId, Failure]) -> Mapping[str, Failure]:
    return {project.plan.steps[id_].label: failure for id_, failure in failed.items()}
