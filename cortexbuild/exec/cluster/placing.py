"""Steps that wait for a worker, and those that are with one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...core.step import Failure
from .crew import Crew, Member, Task

DEATHS = 2
"""How many workers may end while they run one step; after one more it is taken for the reason."""


@dataclass(slots=True)
class Placing:
    """`patience` is for how many seconds a step waits while no worker is there that could run it.
    `stirred` says that something is so that one which waits may find a worker."""

    crew: Crew
    patience: float
    waiting: list[Task] = field(default_factory=list)
    stirred: bool = False
    _placed: dict[str, Member] = field(default_factory=dict)

    def wait(self, task: Task) -> None:
        self.waiting.append(task)
        self.stirred = True

    def take_waiting(self) -> list[Task]:
        """They wait no more."""
        taken, self.waiting = self.waiting, []
        return taken

    def put(self, ticket: str, task: Task, member: Member) -> None:
        """A try of a step is with a worker."""
        member.running[ticket] = task
        self._placed[ticket] = member

    def end(self, ticket: str) -> tuple[Task, Member]:
        """It is not any more."""
        member, self.stirred = self._placed.pop(ticket), True
        return member.running.pop(ticket), member

    def lose(self, ticket: str) -> tuple[Task, Member, Failure | None]:
        """Its worker has ended; with a failure if that was once too often."""
        task, member = self.end(ticket)
        if not member.leaving:
            task.died.append(member.name)
        if len(task.died) <= DEATHS:
            return task, member, None
        return task, member, Failure(
            f"its workers ended while they ran it: {', '.join(task.died)}",
            hint="it may take more memory than it says: the machines' own logs tell",
        )  # fmt: skip

    def whose(self, ticket: str) -> Member | None:
        return self._placed.get(ticket)

    def place(
        self,
        submit: Callable[[Task, Member], None],
        give_up: Callable[[Task, Mapping[str, str]], None],
    ) -> None:
        """Submit what waits, as far as there is room; give up what waits in vain, with what each
        worker lacks for it."""
        self.stirred = False
        rooms = self.crew.rooms()
        idle = {member: left for member, left in rooms.items() if left.jobs > 0}
        for task in self.take_waiting():
            member = self.crew.choose(task, idle if task.needs.cores else rooms)
            if member is not None:
                submit(task, member)
                rooms[member] = member.left()
                if rooms[member].jobs > 0:
                    idle[member] = rooms[member]
                else:
                    idle.pop(member, None)
                continue
            lacking = self.crew.lacking(task.job.step, task.needs)
            if self._is_in_vain(task, hopeless=bool(lacking)):
                give_up(task, lacking)
            else:
                self.waiting.append(task)

    def next_look(self) -> float | None:
        """In how many seconds a wait may be in vain; None while none is."""
        since = [task.since for task in self.waiting if task.since is not None]
        return max(0.05, min(since) + self.patience - time.monotonic()) if since else None

    def _is_in_vain(self, task: Task, *, hopeless: bool) -> bool:
        if not hopeless:
            task.since = None
            return False
        now = time.monotonic()
        task.since = task.since or now
        return now >= task.since + self.patience
