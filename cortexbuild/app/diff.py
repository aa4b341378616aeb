"""How two built targets differ: in what they were made from, and in what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.digest import Plain, Tree
from ..core.plan import Goal
from ..core.step import Difference, StepId, Trace, explain
from ..errors import ToolError
from ..redaction import without_logins
from .history import history
from .measured import all_measures, goal_that_counts
from .project import Project


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: its target, its files, and what was measured of it."""

    target: str
    tree: Tree
    measures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Diff:
    """`made` are settings, tools and sources that differ, by the kind of step they belong to."""

    one: Side
    other: Side
    made: Mapping[str, Sequence[Difference]]


def diff(project: Project, one: str, other: str) -> Diff:
    """Raises ToolError when one of them is not built."""
    first, before = _side(project, one)
    second, after = _side(project, other)
    made = {
        name: tuple(explain(after.get(name, {}), before.get(name, {})))
        for name in sorted({*before, *after})
    }
    return Diff(first, second, {name: found for name, found in made.items() if found})


def _side(project: Project, target: str) -> tuple[Side, Mapping[str, Mapping[str, Plain]]]:
    goal, agenda = goal_that_counts(project, target)
    traces = history(project, goal)
    if goal.model not in traces:
        raise ToolError(f"{target} is not built", hint=f"run `cortexbuild sync {target}`")
    side = Side(target, traces[goal.model].tree, all_measures(project, agenda, goal))
    return side, _made(project, goal, traces)


def _made(
    project: Project, goal: Goal, traces: Mapping[StepId, Trace]
) -> Mapping[str, Mapping[str, Plain]]:
    found: dict[str, Mapping[str, Plain]] = {}
    for id_ in project.plan.chain((goal.model,)):
        step = project.plan.steps[id_]
        what = step.label.rpartition("/")[2]
        if step.tree is not None:
            found[what] = {"source": without_logins(step.origin), "is": step.tree.digest}
        elif id_ in traces:
            found[what] = {"tool": step.tool.plain(), "params": dict(step.params)}
    return found
