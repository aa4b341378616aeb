"""`cortexbuild report`: what a project's plan, store and last build come to, as plain data.

Nothing is built or loaded for it, so a project that was never built has a report too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...version import VERSION
from ..fitted import fitted
from ..generate import look
from ..measured import goal_that_counts
from ..project import Project
from ..ran import LastRun
from .holdings import Bytes, SourceView, sources, stored_bytes
from .models import ModelView, model_views
from .steps import Node, nodes
from .targets import TargetView, target_view


@dataclass(frozen=True, slots=True)
class Report:
    """`steps` of `summary` are counted by status, its `targets` by state."""

    project: str
    at: str
    cortexbuild: str
    summary: Mapping[str, Mapping[str, int]]
    last_run: Mapping[str, Any] | None
    models: Sequence[ModelView]
    targets: Sequence[TargetView]
    steps: Sequence[Node]
    sources: Sequence[SourceView]
    bytes: Bytes


def report(project: Project, names: Sequence[str], last: LastRun, at: str) -> Report:
    counted = {name: goal_that_counts(project, name) for name in names}
    goals = {name: goal for name, (goal, _) in counted.items()}
    fits = {
        name: fitted(project, goals.get(name, goal)) for name, goal in project.plan.goals.items()
    }
    steps = nodes(project, names, goals, last)
    built = {name: look(project, name) for name in names}
    targets = [
        target_view(project, name, *counted[name], built[name], fits[name], steps) for name in names
    ]
    shown = [one.tree.files for one in built.values() if one]
    states = Counter(target.state for target in targets)
    return Report(
        project=project.root.name,
        at=at,
        cortexbuild=VERSION,
        summary={"targets": dict(states), "steps": dict(Counter(node.status for node in steps))},
        last_run=_last_run(last, steps),
        models=model_views(project, targets, fits),
        targets=targets,
        steps=steps,
        sources=sources(project, steps),
        bytes=stored_bytes(project, steps, goals.values(), shown),
    )


def _last_run(last: LastRun, steps: Sequence[Node]) -> Mapping[str, Any] | None:
    ran = [found for node in steps if (found := last.of(node.id))]
    counts = dict(Counter(one.change for one in ran))
    return {"at": last.at, "steps": counts} if ran else None
