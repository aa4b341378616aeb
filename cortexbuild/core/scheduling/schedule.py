"""Which of the steps that are ready start now: it is told what runs, and what there is.

Where not all can, those come first that have the longest way before them, to the end of all that
waits for them (`core/scheduling/queues.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..needs import GIB, Capacity, Needs
from ..plan import Plan
from ..step import Failure, StepId
from .agenda import Ready
from .queues import Queues, Waiting


def _nothing(_ready: Ready) -> Needs:
    return Needs()


def _alone(_ready: Ready) -> Hashable | None:
    return None


@dataclass(frozen=True, slots=True)
class Schedule:
    """`needs` tells what a step takes that is ready; `ways` gives, once that matters, the seconds
    from each step's start to the end of all that waits for it. What is `too_large` is known to be
    more than there is, before anything started. Steps that wait start with the first of them for
    which `together` gives the same, if they need the same; None is of one that starts alone.
    """

    capacity: Capacity = Capacity()
    needs: Callable[[Ready], Needs] = _nothing
    ways: Callable[[], Mapping[StepId, float]] = dict
    too_large: Mapping[StepId, Failure] = field(default_factory=dict)
    together: Callable[[Ready], Hashable | None] = _alone


UNBOUND = Schedule()
"""In the order in which steps come to be ready, as many as an executor takes."""


@dataclass(slots=True)
class _Taken:
    """What a group takes until the last of it has left."""

    needs: Needs
    running: int


class Line:
    """The steps that are ready, and those that run, in one build."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._left = schedule.capacity
        self._waiting: dict[StepId, Waiting] = {}
        self._alike: dict[Hashable, dict[StepId, Waiting]] = {}  # of those that wait, by mark
        self._running: dict[StepId, _Taken] = {}
        self._queues: Queues | None = None  # while all that waits can start, none is needed

    def join(self, ready: Iterable[Ready]) -> Mapping[StepId, Failure]:
        """These stand in line from now on, but for what could not run even alone."""
        failed = {}
        for item in ready:
            step = self._new(item)
            if failure := misfit(step.needs, self._schedule.capacity):
                failed[item.id] = failure
                continue
            self._waiting[item.id] = step
            if step.mark is not None:
                self._alike.setdefault(step.mark, {})[item.id] = step
            if self._queues is not None:
                self._queues.add(step)
        return failed

    def withdraw(self, gone: Iterable[StepId]) -> None:
        """These are not ready any more, if they were."""
        for id_ in gone:
            step = self._forget(id_)
            if step is not None and self._queues is not None:
                self._queues.remove(step)

    def start(self, slots: int) -> Sequence[Sequence[Ready]]:
        """Those whose turn it is, in groups that start together, mostly of one: at most as many
        groups as there are `slots`. They run from now on."""
        chosen = self._choose(slots)
        for group in chosen:
            taken = _Taken(group[0].needs, len(group))
            self._left = self._left.without(taken.needs)
            for step in group:
                self._forget(step.ready.id)
                self._running[step.ready.id] = taken
        return [[step.ready for step in group] for group in chosen]

    def leave(self, id_: StepId) -> None:
        """A step that ran came to an end."""
        taken = self._running.pop(id_)
        taken.running -= 1
        if not taken.running:
            self._left = self._left.with_back(taken.needs, self._schedule.capacity)

    def _new(self, item: Ready) -> Waiting:
        needs, alike = self._schedule.needs(item), self._schedule.together(item)
        return Waiting(item, needs, None if alike is None else (alike, needs))

    def _forget(self, id_: StepId) -> Waiting | None:
        """It does not wait any more, if it did."""
        step = self._waiting.pop(id_, None)
        if step is not None and step.mark is not None:
            alike = self._alike[step.mark]
            del alike[id_]
            if not alike:
                del self._alike[step.mark]
        return step

    def _choose(self, slots: int) -> Sequence[Sequence[Waiting]]:
        whole = self._schedule.capacity
        if self._queues is None:
            groups = self._groups()
            if len(groups) <= slots and _all_fit(self._left, (one[0] for one in groups), whole):
                return groups
            self._queues = Queues(whole, self._schedule.ways())
            for step in self._waiting.values():
                self._queues.add(step)
        return self._queues.take(self._left, slots, self._group_of)

    def _group_of(self, step: Waiting) -> Sequence[Waiting]:
        return [step] if step.mark is None else list(self._alike[step.mark].values())

    def _groups(self) -> Sequence[Sequence[Waiting]]:
        """All that wait, each group where its first one stands."""
        firsts = (
            step
            for step in self._waiting.values()
            if step.mark is None or next(iter(self._alike[step.mark].values())) is step
        )
        return [self._group_of(step) for step in firsts]


def _all_fit(left: Capacity, waiting: Iterable[Waiting], whole: Capacity) -> bool:
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
