"""Steps that wait for their turn, the longest way first.

What fits beside what runs starts even if something before it does not fit. Steps that take the
same of everything but memory stand in one queue. When `MOST_PASSED` that have a shorter way went
past the first of a queue, what it needs is kept free until it starts.

However many wait, a turn looks at the first of each queue, and down a tree of what those in it
need of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..needs import Capacity, Needs
from ..step import StepId
from .agenda import Ready
from .minima import Minima

MOST_PASSED = 8

_Beside: TypeAlias = tuple[int, int, int]
"""What a step takes beside memory: cores, gpu and net."""


@dataclass(slots=True)
class Waiting:
    """A step that is ready, and how many went past it while it was the first in its queue.

    All of one `mark` start together; they have the same needs. None is of one that starts alone.
    """

    ready: Ready
    needs: Needs
    mark: Hashable | None = None
    passed: int = 0


class Queues:
    """Those that wait, in places by the length of their ways."""

    def __init__(self, whole: Capacity, ways: Mapping[StepId, float]) -> None:
        self._whole, self._ways = whole, ways
        in_order = sorted(ways, key=ways.__getitem__, reverse=True)
        self._places = {id_: place for place, id_ in enumerate(in_order)}
        self._at: dict[int, Waiting] = {}
        self._memory: dict[_Beside, Minima] = {}

    def add(self, step: Waiting) -> None:
        # What nobody thought would be made again has no way, and its place is behind all others.
        place = self._places.setdefault(step.ready.id, len(self._places))
        self._at[place] = step
        self._memory.setdefault(_beside(step.needs), Minima()).set(place, step.needs.memory)

    def remove(self, step: Waiting) -> None:
        place = self._places[step.ready.id]
        del self._at[place]
        self._memory[_beside(step.needs)].clear(place)

    def take(
        self, left: Capacity, slots: int, group_of: Callable[[Waiting], Sequence[Waiting]]
    ) -> Sequence[Sequence[Waiting]]:
        """Those that start when so much is `left`, in groups that take as much as one of them;
        they are in no queue any more. `group_of` tells who starts with one, itself among them."""
        chosen: list[Waiting] = []
        groups: list[Sequence[Waiting]] = []

        def choose(step: Waiting) -> None:
            chosen.append(step)
            groups.append(group_of(step))
            for member in groups[-1]:
                self.remove(member)

        # No two of these are of one group, since all of a group stand in one queue.
        for step in self._due():
            if len(chosen) < slots and left.can_take(step.needs, self._whole):
                choose(step)
            left = left.without(step.needs)
        while len(chosen) < slots and (next_ := self._next(left)) is not None:
            choose(next_)
            left = left.without(next_.needs)
        for first in self._firsts():
            way = self._way(first)
            first.passed += sum(self._way(step) < way for step in chosen)
        return groups

    def _due(self) -> Sequence[Waiting]:
        due = [step for step in self._firsts() if step.passed >= MOST_PASSED]
        return sorted(due, key=lambda step: (-step.passed, -self._way(step)))

    def _firsts(self) -> Iterator[Waiting]:
        for memory in self._memory.values():
            place = memory.first(self._whole.memory)
            if place is not None:
                yield self._at[place]

    def _next(self, left: Capacity) -> Waiting | None:
        places = [
            place
            for beside, memory in self._memory.items()
            if left.can_take(Needs(0, *beside), self._whole)
            and (place := memory.first(left.memory)) is not None
        ]
        return self._at[min(places)] if places else None

    def _way(self, step: Waiting) -> float:
        return self._ways.get(step.ready.id, 0.0)


def _beside(needs: Needs) -> _Beside:
    return needs.cores, needs.gpu, needs.net
