"""What was measured of a goal, whether that is good enough, and so which goal counts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.digest import Tree
from ..core.judge import judge
from ..core.plan import Goal, Scope
from ..core.scheduling.agenda import Agenda
from .project import Project


def measures_of(project: Project, agenda: Agenda, goal: Goal) -> Sequence[Mapping[str, Any]]:
    """What was measured of a goal, as far as it is known."""
    found = []
    for check in goal.checks:
        tree = agenda.tree(check)
        file = tree.find("measures.json") if tree is not None else None
        if file is not None and project.store.has_tree(Tree((file,))):
            found.append(json.loads(project.store.blob(file.digest).read_text()))
    return found


def all_measures(project: Project, agenda: Agenda, goal: Goal) -> dict[str, Any]:
    """The same of all its checks together, by name."""
    together: dict[str, Any] = {}
    for measures in measures_of(project, agenda, goal):
        together |= measures
    return together


def problems_of(project: Project, agenda: Agenda, goal: Goal) -> Sequence[str]:
    """What is wrong with what a goal made, by its measures."""
    found = measures_of(project, agenda, goal)
    return [problem for measures in found for problem in judge(measures, goal.limits)]


def goal_that_counts(project: Project, target: str) -> tuple[Goal, Agenda]:
    """A target's goal; where it has several, the first that is good or that its view shows."""
    first = project.plan.goals[target]
    if first.otherwise is None:
        return first, project.agenda(Scope((target,)))
    for rung, goal in enumerate(first.rungs()):
        agenda = project.agenda(Scope((target,), rung=rung))
        if agenda.is_done(goal) and not problems_of(project, agenda, goal):
            return goal, agenda
        tree = agenda.tree(goal.model)
        if tree is not None and tree.digest == project.views.shows(target, goal.format):
            return goal, agenda
    return first, project.agenda(Scope((target,)))


def numbers(measured: Mapping[str, Any]) -> Mapping[str, float]:
    """The finite numbers among measures; what is written as text counts too."""
    found = {}
    for name, value in measured.items():
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            number = float(value)
        except ValueError:
            continue
        if math.isfinite(number):
            found[name] = value if isinstance(value, int) else number
    return found
