"""The models of a report: what each is, and what its bits would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.digest import Plain
from ...core.licences import licence_of
from ...redaction import without_logins
from ..fitted import Choice, Fitted
from ..project import Project
from .targets import TargetView


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


def model_views(
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


def _frontier(fits: Mapping[str, Fitted | None], model: str) -> Sequence[Choice]:
    """Of the first target of a model that has one."""
    for target, found in fits.items():
        if target.partition(":")[0] == model and found and found.frontier:
            return found.frontier
    return ()
