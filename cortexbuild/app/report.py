"""`cortexbuild report`: what a project's plan, store and last build come to, as plain data.

Nothing is built or loaded for it, so a project that was never built has a report too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.agenda import Agenda
from ..core.candidates import weight_bytes
from ..core.digest import Plain
from ..core.manifest import Model
from ..core.plan import Goal
from ..redaction import without_logins
from ..version import VERSION
from .fitted import Choice, Fitted, fitted
from .generate import Built, look
from .graph import Node, nodes
from .holdings import Bytes, SourceView, licence_of, sources, stored_bytes
from .measured import goal_that_counts, measures_of, numbers, problems_of
from .project import Project
from .ran import LastRun
from .record import is_bit_exact


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


@dataclass(frozen=True, slots=True)
class ModelView:
    """`frontier` has the sizes and predicted divergences of the best choices of bits, where the
    sensitivities of the layers have been measured."""

    model: str
    source: str
    adapters: Sequence[Mapping[str, Any]]
    licence: str
    parameters: int | None
    facts: Mapping[str, Plain]
    size: int | None
    targets: Sequence[str]
    frontier: Sequence[Choice]


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
        _target(project, name, *counted[name], built[name], fits[name], steps) for name in names
    ]
    shown = [one.tree.files for one in built.values() if one]
    states = Counter(target.state for target in targets)
    return Report(
        project=project.root.name,
        at=at,
        cortexbuild=VERSION,
        summary={"targets": dict(states), "steps": dict(Counter(node.status for node in steps))},
        last_run=_last_run(last, steps),
        models=_models(project, targets, fits),
        targets=targets,
        steps=steps,
        sources=sources(project, steps),
        bytes=stored_bytes(project, steps, goals.values(), shown),
    )


def _last_run(last: LastRun, steps: Sequence[Node]) -> Mapping[str, Any] | None:
    ran = [found for node in steps if (found := last.of(node.id))]
    counts = dict(Counter(one.change for one in ran))
    return {"at": last.at, "steps": counts} if ran else None


def _target(
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
    measured: dict[str, Any] = {}
    for found in measures_of(project, agenda, goal):
        measured |= found
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
    origins = (model.source, *(adapter.source for adapter in model.adapters))
    return list(dict.fromkeys(licence_of(project.lock, origin) for origin in origins))


def _frontier(fits: Mapping[str, Fitted | None], model: str) -> Sequence[Choice]:
    """Of the first target of a model that has one."""
    for target, found in fits.items():
        if target.partition(":")[0] == model and found and found.frontier:
            return found.frontier
    return ()


def _models(
    project: Project, targets: Sequence[TargetView], fits: Mapping[str, Fitted | None]
) -> list[ModelView]:
    views = []
    for name in dict.fromkeys(target.model for target in targets):
        entry = project.manifest.models[name]
        pinned = project.lock.sources.get(entry.source)
        facts = dict(pinned.facts) if pinned else {}
        parameters = facts.get("parameters")
        views.append(
            ModelView(
                model=name,
                source=without_logins(entry.source),
                adapters=[
                    {"source": without_logins(a.source), "weight": a.weight} for a in entry.adapters
                ],
                licence=licence_of(project.lock, entry.source),
                parameters=parameters if isinstance(parameters, int) else None,
                facts=facts,
                size=pinned.tree.size if pinned else None,
                targets=[target.target for target in targets if target.model == name],
                frontier=_frontier(fits, name),
            )
        )
    return views
