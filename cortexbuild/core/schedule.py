"""Which of the steps that are ready start now: it is told what runs, and what there is.

Where not all can, those come first that have the longest way before them, to the end of all that
waits for them. What fits beside what runs starts even if something before it does not fit; but
for a step that `MOST_PASSED` others went past, what it needs is kept free until it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .agenda import Ready
from .needs import GIB, Capacity, Needs
from .plan import Plan
from .step import Failure, StepId

MOST_PASSED = 8


def _nothing(_ready: Ready) -> Needs:
    return Needs()


@dataclass(frozen=True, slots=True)
class Schedule:
    """`needs` tells what a step takes that is ready; `ways` gives, once that matters, the seconds
    from each step's start to the end of all that waits for it. What is `too_large` is known to be
    more than there is, before anything started.
    """

    capacity: Capacity = Capacity()
    needs: Callable[[Ready], Needs] = _nothing
    ways: Callable[[], Mapping[StepId, float]] = dict
    too_large: Mapping[StepId, Failure] = field(default_factory=dict)


UNBOUND = Schedule()
"""In the order in which steps come to be ready, as many as an executor takes."""


@dataclass(slots=True)
class _Waiting:
    """A step that is ready, and how many went past it that have less behind them."""

    ready: Ready
    needs: Needs
    passed: int = 0

    def is_due(self) -> bool:
        return self.passed >= MOST_PASSED


class Line:
    """The steps that are ready, and those that run, in one build."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._waiting: dict[StepId, _Waiting] = {}
        self._running: dict[StepId, Needs] = {}

    def join(self, ready: Iterable[Ready]) -> Mapping[StepId, Failure]:
        """All that is ready now stands in line, but for what could not run even alone."""
        waiting, failed = {}, {}
        for item in ready:
            known = self._waiting.get(item.id)
            if known is None or known.ready is not item:
                known = _Waiting(item, self._schedule.needs(item))
            if failure := misfit(known.needs, self._schedule.capacity):
                failed[item.id] = failure
            else:
                waiting[item.id] = known
        self._waiting = waiting
        return failed

    def start(self, slots: int) -> Sequence[Ready]:
        """Those whose turn it is, at most as many as there are `slots`: they run from now on."""
        chosen = self._choose(slots)
        started = [self._waiting.pop(id_) for id_ in chosen]
        self._running |= {item.ready.id: item.needs for item in started}
        return [item.ready for item in started]

    def leave(self, id_: StepId) -> None:
        """A step that ran came to an end."""
        del self._running[id_]

    def _choose(self, slots: int) -> Sequence[StepId]:
        whole = left = self._schedule.capacity
        for needs in self._running.values():
            left = left.without(needs)
        waiting = self._waiting
        if len(waiting) <= slots and _all_fit(left, waiting.values(), whole):
            return list(waiting)
        ways = self._schedule.ways()

        def way(id_: StepId) -> float:
            return ways.get(id_, 0.0)  # of what nobody thought would be made again

        def turn(id_: StepId) -> tuple[int, float]:
            step = waiting[id_]
            return -step.passed if step.is_due() else 0, -way(id_)

        chosen: list[StepId] = []
        for id_ in sorted(waiting, key=turn):
            step = waiting[id_]
            fits = left.can_take(step.needs, whole)
            if fits and len(chosen) < slots:
                chosen.append(id_)
            if fits or step.is_due():
                left = left.without(step.needs)
        for id_ in waiting.keys() - chosen:
            waiting[id_].passed += sum(way(other) < way(id_) for other in chosen)
        return chosen


def _all_fit(left: Capacity, waiting: Iterable[_Waiting], whole: Capacity) -> bool:
    for step in waiting:
        if not left.can_take(step.needs, whole):
            return False
        left = left.without(step.needs)
    return True


def ways(plan: Plan, seconds: Mapping[StepId, float]) -> Mapping[StepId, float]:
    """By step, how long it takes from its start until all that waits for it is done, if nothing
    else is waited for. Steps that have no `seconds` are done."""
    import networkx as nx  # a tenth of a second, for builds with a choice

    graph = nx.DiGraph()
    graph.add_nodes_from(seconds)
    for id_ in seconds:
        inputs = (item.step for item in plan.steps[id_].inputs.values())
        graph.add_edges_from((before, id_) for before in inputs if before in seconds)
    found: dict[StepId, float] = {}
    for id_ in reversed(list(nx.topological_sort(graph))):
        after = (found[other] for other in graph.successors(id_))
        found[id_] = seconds[id_] + max(after, default=0)
    return found


def misfit(needs: Needs, capacity: Capacity) -> Failure | None:
    """Why a step could not run even alone; None if it could."""
    if needs.memory <= capacity.memory:
        return None
    return Failure(
        f"it needs about {needs.memory / GIB:.2f} GiB of memory, and there are "
        f"{capacity.memory / GIB:.2f} GiB",
        hint="choose another recipe, or build it where there is more memory; if this machine has "
        "more than that, say so in cortex.yaml: `resources: {memory: …}`",
    )
