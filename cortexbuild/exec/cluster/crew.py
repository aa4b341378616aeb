"""The workers of a cluster as a client sees them, and which of them takes a step. No Dask here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ...core.digest import Digest, File, Tree
from ...core.needs import Capacity, Needs
from ...core.ports import Job
from ...core.step import Step
from .beacon import shows
from .offer import Offer, lacks, machine_id, offer_from

MOST_NAMED = 8
STRANGER = "it is no `cortexbuild worker`, or one of another version"


@dataclass(slots=True, eq=False)
class Task:
    """A job that waits for a worker, or runs on one.

    `light` is the job as it is sent, with its `details` if it has many. `sent` is whether what it
    reads can be had from the shared caches. `since` is from when on no worker is known that could
    run it, `died` has the workers that ended while they did.
    """

    job: Job
    needs: Needs
    light: Job
    details: File | None
    sent: bool = False
    since: float | None = None
    died: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Member:
    """A worker. `shares` is whether its store is ours, `has` what it read or made since we know
    it, `wrong` why nothing of ours can run there. One that is `leaving` was told to end."""

    address: str
    name: str
    offer: Offer | None
    shares: bool = False
    wrong: str = ""
    leaving: bool = False
    running: dict[str, Task] = field(default_factory=dict)
    has: set[Digest] = field(default_factory=set)
    lacks: dict[tuple[object, ...], str] = field(default_factory=dict)

    @property
    def room(self) -> Capacity:
        assert self.offer is not None, "only workers of ours are asked"
        return self.offer.room

    def left(self) -> Capacity:
        left = self.room
        for task in self.running.values():
            left = left.without(task.needs)
        return left


Rooms: TypeAlias = dict[Member, Capacity]
"""What workers have left."""


class Crew:
    """`carries` is whether contents can go by way of a shared cache, where stores differ."""

    def __init__(self, store: Path, *, carries: bool) -> None:
        self._store, self._carries = store, carries
        self.members: dict[str, Member] = {}

    def meet(self, workers: Mapping[str, Any]) -> list[Member]:
        """What Dask tells of its workers, by address; gives those that are new."""
        new = []
        for address, told in workers.items():
            if address not in self.members:
                member = self.members[address] = self._member(address, told)
                new.append(member)
        return new

    def usable(self) -> list[Member]:
        return [m for m in self.members.values() if not (m.wrong or m.leaving)]

    def unusable(self) -> Mapping[str, str]:
        return {member.name: member.wrong for member in self.members.values() if member.wrong}

    def offers(self) -> list[Offer]:
        return [member.offer for member in self.members.values() if member.offer is not None]

    def leave(self, address: str) -> list[str]:
        """A worker is gone; gives the tickets of what ran there."""
        member = self.members.pop(address, None)
        return list(member.running) if member is not None else []

    def is_leaving(self, address: str) -> None:
        if member := self.members.get(address):
            member.leaving = True

    def slots(self) -> int:
        return sum(member.room.jobs for member in self.usable())

    def rooms(self) -> Rooms:
        return {member: member.left() for member in self.usable()}

    def free(self) -> int:
        """How many more steps could run; how many run that take no core is of no matter."""
        taken = sum(
            task.needs.cores for member in self.usable() for task in member.running.values()
        )
        return self.slots() - taken

    def lacking(self, step: Step, needs: Needs) -> Mapping[str, str]:
        """What each worker lacks for a step, by its name; empty when one lacks nothing."""
        found = {} if self.members else {"nobody": "there is no worker"}
        for member in self.members.values():
            missing = self._missing(member, step, needs)
            if not missing:
                return {}
            found[member.name] = missing
        return found

    def choose(self, task: Task, rooms: Rooms) -> Member | None:
        """The worker, of those with room, that a step goes to now: one that has most of its inputs,
        and of those the one that has least to do. None while those that could run it are busy."""
        best: tuple[tuple[bool, int, int], Member] | None = None
        for member, left in rooms.items():
            if not left.can_take(task.needs, member.room):
                continue
            if not (member.shares or task.sent) or self._missing(member, task.job.step, task.needs):
                continue
            has = 0 if member.shares else _bytes_of(member, task.job.inputs.values())
            rank = (member.name not in task.died, has, -len(member.running))
            if best is None or rank > best[0]:
                best = rank, member
        return best[1] if best else None

    def _member(self, address: str, told: Any) -> Member:
        offer = offer_from(told.get("cortexbuild"))
        if offer is None:
            return Member(address, str(told["name"]), None, wrong=STRANGER)
        member = Member(address, offer.name, offer, shows(self._store, *offer.beacon))
        if member.shares and offer.machine != machine_id():
            member.wrong = (
                "its CORTEX_HOME is this one, on another machine: an index of files cannot be "
                "shared over a network. Give each machine a CORTEX_HOME of its own, and a folder "
                "that all see as a remote: `file:///…`"
            )
        elif not (member.shares or self._carries):
            member.wrong = (
                "its store is not this machine's, and there is no shared cache to write to that "
                "contents could go by"
            )
        return member

    def _missing(self, member: Member, step: Step, needs: Needs) -> str:
        if member.wrong or member.leaving:
            return member.wrong or "it is about to end"
        assert member.offer is not None, "what is not wrong has an offer"
        question = (step.tool.name, step.kind, step.format, needs.memory)
        if question not in member.lacks:  # in one plan a tool has one version
            member.lacks[question] = lacks(member.offer, step, needs)
        return member.lacks[question]


def _bytes_of(member: Member, trees: Iterable[Tree]) -> int:
    return sum(file.size for tree in trees for file in tree.files if file.digest in member.has)


def in_words(lacking: Mapping[str, str]) -> str:
    """What workers lack, by name; those that lack the same are named together."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in lacking.items():
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"{_named(names)}: {reason}" for reason, names in by_reason.items())


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(sorted(names)[:MOST_NAMED]) + more
