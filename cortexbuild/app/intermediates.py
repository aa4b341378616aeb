"""Bytes of what was made on the way: they go as soon as nothing needs them any more.

Weights only: what was fetched may not come again, and what was found out is small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import TypeAlias

from ..core.agenda import Agenda
from ..core.digest import Digest
from ..core.plan import Plan
from ..core.step import Kind, StepId

Drop: TypeAlias = Callable[[Set[Digest]], Set[Digest]]
"""Takes files out of the store; gives those that stay for good, since others count on them. It
may do nothing for now."""


def between(plan: Plan) -> frozenset[StepId]:
    """The steps that make weights which no target is."""
    ends = {rung.model for goal in plan.goals.values() for rung in goal.rungs()}
    makers = (Kind.CONVERT, Kind.QUANTIZE)
    return frozenset(id_ for id_, s in plan.steps.items() if s.kind in makers and id_ not in ends)


@dataclass(slots=True)
class Intermediates:
    """Those of a sync. `later` are steps that may be wanted yet, when a way is no good."""

    plan: Plan
    drop: Drop
    later: Set[StepId] = frozenset()
    _kept: set[Digest] = field(default_factory=set)

    def let_go(self, agendas: Sequence[Agenda]) -> None:
        """Drop what none of these agendas needs, nor what comes later."""
        needed = set(self.later).union(*(agenda.needed() for agenda in agendas))
        over = between(self.plan) - needed
        spent = {id_ for id_ in over if any(agenda.has_bytes(id_) for agenda in agendas)}
        files = _files(agendas, spent) - _files(agendas, self.plan.steps.keys() - over)
        if files := files - self._kept:
            self._kept |= self.drop(files)
            for agenda in agendas:
                for id_ in spent:
                    agenda.look_at_bytes(id_)


def _files(agendas: Sequence[Agenda], steps: Set[StepId]) -> set[Digest]:
    trees = [tree for agenda in agendas for id_ in steps if (tree := agenda.tree(id_))]
    return {file.digest for tree in trees for file in tree.files}
