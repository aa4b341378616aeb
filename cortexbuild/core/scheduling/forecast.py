"""What a build will come to, by playing it through: how long, and how much it takes at once."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import partial

from ..needs import Capacity, Needs
from ..plan import Plan
from ..step import StepId, StepKey
from .agenda import Ready
from .schedule import Line, Schedule, ways


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Of a step that will run: the bytes that it makes, its seconds, and what it takes."""

    size: int
    seconds: float
    needs: Needs


@dataclass(frozen=True, slots=True)
class Forecast:
    """`written` bytes in all, at most `peak` of them there at once; `memory` is the largest that
    steps take together."""

    seconds: float
    written: int
    peak: int
    memory: int


def forecast(
    plan: Plan, coming: Mapping[StepId, Foreseen], capacity: Capacity, passing: Set[StepId]
) -> Forecast:
    """Of a build of these steps. The bytes of `passing` ones go with the last that reads them;
    steps that nothing has room for count for nothing, and neither does what waits for them."""
    after: dict[StepId, list[StepId]] = {id_: [] for id_ in coming}
    missing = dict.fromkeys(coming, 0)  # inputs that are still to come
    readers = dict.fromkeys(coming, 0)
    for id_ in coming:
        for before in _inputs(plan, id_, coming):
            after[before].append(id_)
            missing[id_] += 1
            readers[before] += 1
    seconds = {id_: step.seconds for id_, step in coming.items()}
    # None start together: the seconds of what did are shares that add up, so the forecast is right
    # where one step runs at a time, and says more memory and less time than it takes elsewhere.
    line = Line(
        Schedule(capacity, lambda ready: coming[ready.id].needs, partial(ways, plan, seconds))
    )
    ready = [_ready(plan, id_) for id_ in coming if not missing[id_]]
    running: list[tuple[float, int, StepId]] = []
    now, here, peak, written, memory, most = 0.0, 0, 0, 0, 0, 0
    while True:
        line.join(ready)
        for (item,) in line.start(len(coming)):
            step = coming[item.id]
            written, here = written + step.size, here + step.size
            memory += step.needs.memory
            heapq.heappush(running, (now + step.seconds, written, item.id))
        peak, most = max(peak, here), max(most, memory)
        if not running:
            return Forecast(now, written, peak, most)
        now, _, id_ = heapq.heappop(running)
        line.leave(id_)
        memory -= coming[id_].needs.memory
        ready = []
        for next_ in after[id_]:
            missing[next_] -= 1
            if not missing[next_]:
                ready.append(_ready(plan, next_))
        for before in _inputs(plan, id_, coming):
            readers[before] -= 1
            if not readers[before] and before in passing:
                here -= coming[before].size


def _inputs(plan: Plan, id_: StepId, coming: Mapping[StepId, Foreseen]) -> set[StepId]:
    return {item.step for item in plan.steps[id_].inputs.values() if item.step in coming}


def _ready(plan: Plan, id_: StepId) -> Ready:
    return Ready(id_, plan.steps[id_], StepKey(""), {}, {})
