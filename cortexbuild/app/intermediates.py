"""Bytes of what was made on the way: they go as soon as nothing needs them any more.

Weights only: what was fetched may not come again, and what was found out is small.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from typing import TypeAlias

from ..core.digest import Digest
from ..core.plan import Plan
from ..core.scheduling.agenda import Agenda
from ..core.step import Kind, StepId

Drop: TypeAlias = Callable[[Set[Digest]], Set[Digest]]
"""Takes files out of the store; gives those that stay for good, since others count on them. It
may do nothing for now."""


def between(plan: Plan) -> frozenset[StepId]:
    """The steps that make weights which no target is."""
    ends = {rung.model for goal in plan.goals.values() for rung in goal.rungs()}
    makers = (Kind.CONVERT, Kind.QUANTIZE)
    return frozenset(id_ for id_, s in plan.steps.items() if s.kind in makers and id_ not in ends)


class Intermediates:
    """Those of a sync. `later` are steps that may be wanted yet, when a way is no good.

    Each look goes from what has changed since the one before, and not over all of the plan.
    """

    def __init__(self, plan: Plan, drop: Drop, later: Set[StepId] = frozenset()) -> None:
        self._plan, self._drop = plan, drop
        self._passing = between(plan) - later
        self._unseen: Iterable[StepId] = plan.steps  # all of them, at the first look
        self._having: dict[Digest, set[StepId]] = defaultdict(set)  # of those that pass
        self._stay: set[Digest] = set()  # others have them, or somebody counts on them
        self._late: set[StepId] = set()  # whose bytes could not go when they were spent

    def let_go(self, agendas: Sequence[Agenda]) -> None:
        """Drop what none of these agendas needs, nor what comes later."""
        changed = {*self._unseen, *(id_ for agenda in agendas for id_ in agenda.changes())}
        self._unseen = ()
        for id_ in changed:
            for digest in _files(agendas, id_):
                if id_ in self._passing:
                    self._having[digest].add(id_)
                else:
                    self._stay.add(digest)
        spent = self._spent(agendas, changed)
        files = {digest for id_ in spent for digest in _files(agendas, id_)} - self._stay
        files = {digest for digest in files if self._is_over(agendas, self._having[digest])}
        self._late = set()
        if files:
            self._stay |= self._drop(files)
            sharing = {id_ for digest in files for id_ in self._having[digest]}
            for id_ in sharing:
                for agenda in agendas:
                    agenda.look_at_bytes(id_)
                if _has_bytes(agendas, id_) and files & _files(agendas, id_) - self._stay:
                    self._late.add(id_)

    def _spent(self, agendas: Sequence[Agenda], changed: Set[StepId]) -> set[StepId]:
        """Of those that may be so by what has changed: steps that pass, and nothing needs."""
        steps = self._plan.steps
        stack = [*changed, *self._late, *(item for id_ in changed for item in steps[id_].reads())]
        seen, spent = set[StepId](), set[StepId]()
        while stack:
            id_ = stack.pop()
            here, before = _has_bytes(agendas, id_), steps[id_].reads()
            # Without bytes, a step that is needed needs those before it.
            matters = id_ in self._passing if here else before
            if id_ in seen or not matters:
                continue
            seen.add(id_)
            if self._is_over(agendas, (id_,)):
                spent |= {id_} if here else set()
                stack += () if here else before
        return spent

    def _is_over(self, agendas: Sequence[Agenda], steps: Iterable[StepId]) -> bool:
        return not any(agenda.needs(id_) for id_ in steps for agenda in agendas)


def _has_bytes(agendas: Sequence[Agenda], id_: StepId) -> bool:
    return any(agenda.has_bytes(id_) for agenda in agendas)


def _files(agendas: Sequence[Agenda], id_: StepId) -> set[Digest]:
    trees = [tree for agenda in agendas if (tree := agenda.tree(id_))]
    return {file.digest for tree in trees for file in tree.files}
