"""The ways in which a target may be made, tried in turn until one is good."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.lock import Settled
from ..core.plan import Scope
from ..core.scheduling.agenda import Agenda
from ..core.step import Failure, StepId
from .measured import problems_of
from .project import Project


class Climb:
    """Where one target stands on its ladder."""

    def __init__(self, project: Project, target: str) -> None:
        self.target, self.rung = target, 0
        self._project = project
        self._goals = tuple(project.plan.goals[target].rungs())
        self.goal = self._goals[0]
        self._tried: dict[str, str] = {}

    def own_steps(self) -> frozenset[StepId]:
        """Steps that are of no use to this target if the way it is on turns out no good."""
        plan = self._project.plan
        mine, *others = (
            frozenset(plan.chain(plan.ends(Scope((self.target,), rung=rung))))
            for rung in range(self.rung, len(self._goals))
        )
        return mine.difference(*others) if others else frozenset()

    def later(self) -> frozenset[StepId]:
        """Steps that the ways stand on which have not been tried yet."""
        plan, rungs = self._project.plan, range(self.rung + 1, len(self._goals))
        ends = [plan.ends(Scope((self.target,), rung=rung)) for rung in rungs]
        return frozenset(plan.chain(id_ for end in ends for id_ in end))

    def wrong(self, agenda: Agenda, failed: Mapping[StepId, Failure]) -> str:
        """Why the way it is on is no good; empty if it is good, or not known to be bad."""
        if broken := self.own_steps() & failed.keys():
            return "; ".join(failed[id_].message for id_ in sorted(broken))
        return "; ".join(problems_of(self._project, agenda, self.goal))

    def up(self, wrong: str) -> None:
        """Try the next."""
        self._tried[self.goal.recipe] = wrong
        self.rung += 1
        self.goal = self._goals[self.rung]

    def said(self) -> str:
        """What became of the last one, and what comes instead."""
        recipe, wrong = list(self._tried.items())[-1]
        return f"{recipe} is no good: {wrong}; {self.goal.recipe} is tried instead"

    def settled(self) -> Settled:
        """What the lock keeps once it is at a good end."""
        ladder = self._goals[0].ladder
        assert ladder is not None, "a goal with others behind it names them"
        return Settled(ladder, self.goal.recipe, dict(self._tried))
