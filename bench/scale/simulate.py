"""One build by the real scheduler, with workers that only count: in a process of its own.

python bench/scale/simulate.py WORKERS STEPS
"""

from __future__ import annotations

import heapq
import json
import sys
import time
from dataclasses import asdict, dataclass

from work import STEPS, Work, cluster, work

from cortexbuild.app.build import build
from cortexbuild.core.digest import Digest, File, Tree
from cortexbuild.core.needs import Capacity
from cortexbuild.core.plan import Scope
from cortexbuild.core.ports import Done
from cortexbuild.core.scheduling.agenda import Agenda, Ready
from cortexbuild.core.scheduling.schedule import Schedule, ways
from cortexbuild.core.step import StepId, Trace


class Clockwork:
    """An executor without work: to wait is to move the clock on to where the next step ends."""

    def __init__(self, workers: int, seconds: dict[StepId, float]) -> None:
        self.now, self._workers, self._seconds = 0.0, workers, seconds
        self._running: list[tuple[float, StepId, Ready]] = []
        self.made: set[Tree] = set()

    def free(self) -> int:
        return self._workers - len(self._running)

    def start(self, *group: Ready) -> None:
        (ready,) = group  # none start together
        heapq.heappush(self._running, (self.now + self._seconds[ready.id], ready.id, ready))

    def wait(self) -> Done:
        self.now, id_, ready = heapq.heappop(self._running)
        tree = ready.step.tree or Tree((File("a", Digest(id_), 1),))
        self.made.add(tree)
        return Done(id_, Trace(ready.key, ready.ingredients, tree, ready.step.label, {}))

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Played:
    """A build of so many steps: the seconds that it would take and that it could at best, by
    what is scarce; and those of the processor that were spent on the scheduling."""

    workers: int
    steps: int
    seconds: float
    bounds: dict[str, float]
    processor: float

    @property
    def bound(self) -> float:
        return max(self.bounds.values())


def play(workers: int, models: int) -> Played:
    todo, room = work(models), cluster(workers)
    executor = Clockwork(workers, todo.seconds)
    schedule = Schedule(
        room, lambda ready: todo.needs[ready.id], lambda: ways(todo.plan, todo.expected)
    )
    ended = 0

    def end(event: object) -> None:
        nonlocal ended
        ended += event.change == "built"

    began = time.process_time()
    agenda = Agenda(
        todo.plan, todo.plan.ends(Scope(tuple(todo.plan.goals))),
        lambda *_: None, executor.made.__contains__,
    )  # fmt: skip
    failed = build(agenda, executor, lambda ready: ready, end, schedule=schedule)
    spent = time.process_time() - began
    assert not failed and ended == len(todo.plan.steps)
    return Played(workers, ended, executor.now, bounds(todo, workers, room), spent)


def bounds(todo: Work, workers: int, room: Capacity) -> dict[str, float]:
    """What no schedule can be faster than."""
    each = [(todo.needs[id_], seconds) for id_, seconds in todo.seconds.items()]
    return {
        "the longest way": max(ways(todo.plan, todo.seconds).values()),
        "workers": sum(seconds for _, seconds in each) / workers,
        "memory": sum(needs.memory * seconds for needs, seconds in each) / room.memory,
        "accelerators": sum(needs.gpu * seconds for needs, seconds in each) / room.gpu,
        "fetches": sum(needs.net * seconds for needs, seconds in each) / room.net,
    }


if __name__ == "__main__":
    count, steps = map(int, sys.argv[1:])
    print(json.dumps(asdict(play(count, -(-steps // STEPS)))))
