"""What became of each step the last time that a sync came to it, kept for the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..core.events import Change, StepChanged
from ..core.step import Failure, StepId


@dataclass(frozen=True, slots=True)
class Ran:
    """`at` is when that sync ended: steps of one sync have the same."""

    at: str
    change: Change
    seconds: float = 0.0
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class LastRun:
    """`at` is the last sync of this project, or the first of several in a row that came to the
    same; `steps` has steps of earlier ones too."""

    at: str = ""
    steps: Mapping[StepId, Ran] = field(default_factory=dict)

    def of(self, id_: StepId) -> Ran | None:
        """What the last sync of all did with a step; None when it had nothing to do with it."""
        ran = self.steps.get(id_)
        return ran if ran is not None and ran.at == self.at else None

    def says_the_same(self, other: LastRun) -> bool:
        """Whether the two differ in nothing but when."""
        return self._without_time() == other._without_time()

    def _without_time(self) -> Mapping[StepId, tuple[bool, Ran]]:
        return {i: (ran.at == self.at, replace(ran, at="")) for i, ran in self.steps.items()}


def after(
    before: LastRun,
    changes: Iterable[StepChanged],
    failed: Mapping[str, Failure],
    at: str,
    known: Iterable[StepId],
) -> LastRun:
    """The record once a sync is over. Steps that are in no plan any more (not `known`) go."""
    steps = dict(before.steps)
    for change in changes:
        if change.change != "started":
            failure = failed.get(change.label) if change.change == "failed" else None
            if change.change == "failed" and failure is None:  # its target fell back
                failure = Failure(change.detail)
            steps[change.step] = Ran(at, change.change, change.seconds, failure)
    return LastRun(at, {id_: steps[id_] for id_ in known if id_ in steps})
