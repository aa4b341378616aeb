"""The targets of a report: what each is, how good it is, and whether it is up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.licences import licence_of
from ...core.manifest import Model
from ...core.plan import Goal
from ...core.planning.candidates import weight_bytes
from ...core.scheduling.agenda import Agenda
from ..fitted import Fitted
from ..generate import Built
from ..measured import all_measures, numbers, problems_of
from ..project import Project
from ..record import is_bit_exact
from .steps import Node


@dataclass(frozen=True, slots=True)
class TargetView:
    """A target as it stands. `state` is `fresh`, `stale` (a sync would change what there is),
    `not-built`, or `bad`: built as it should be, and judged not good enough.

    `measures` has only numbers, `measured` all that was written down. `tried` are recipes
    that were no good before this one, with what was wrong. `budget` is in bytes, of the weights.
    `seconds` is what it took to make all that it stands on, the last time each was made.
    """

    target: str
    model: str
    name: str
    recipe: str
    settings: Mapping[str, Any]
    note: str
    tried: Mapping[str, str]
    format: str
    state: str
    problems: Sequence[str]
    size: int | None
    weights: int | None
    digest: str | None
    path: str
    files: int
    measures: Mapping[str, float]
    measured: Mapping[str, Any]
    limits: Mapping[str, float]
    budget: int | None
    seconds: float | None
    step: str
    checks: Sequence[str]
    licences: Sequence[str]
    bit_exact: bool


def target_view(
    project: Project,
    target: str,
    goal: Goal,
    agenda: Agenda,
    built: Built | None,
    fits: Fitted | None,
    steps: Sequence[Node],
) -> TargetView:
    model, _, name = target.partition(":")
    entry = project.manifest.models[model].targets[name]
    measured = all_measures(project, agenda, goal)
    problems = list(problems_of(project, agenda, goal))
    if agenda.is_done(goal) and problems:
        state = "bad"
    else:
        state = "not-built" if built is None else "stale" if built.stale else "fresh"
    settled = project.lock.settled.get(target)
    chain = set(project.plan.chain(goal.ends))
    spent = [n.seconds for n in steps if n.id in chain and n.seconds is not None]
    return TargetView(
        target=target,
        model=model,
        name=name,
        recipe=goal.recipe,
        settings=dict(entry.set),
        note=goal.note,
        tried=dict(settled.tried) if settled and settled.recipe == goal.recipe else {},
        format=goal.format,
        state=state,
        problems=problems,
        size=built.tree.size if built else None,
        weights=weight_bytes(built.tree) if built else None,
        digest=built.tree.digest if built else None,
        path=str(project.views.path(target, goal.format)),
        files=len(built.tree.files) if built else 0,
        measures=numbers(measured),
        measured=measured,
        limits=goal.limits.model_dump(exclude_none=True),
        budget=fits.budget if fits else None,
        seconds=sum(spent) if spent else None,
        step=goal.model,
        checks=list(goal.checks),
        licences=_licences(project, project.manifest.models[model]),
        bit_exact=is_bit_exact(project, goal),
    )


def _licences(project: Project, model: Model) -> list[str]:
    return list(dict.fromkeys(licence_of(project.lock, origin) for origin in model.origins()))
