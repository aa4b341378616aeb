"""`cortexbuild verify`: read every byte again and compare it with its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..core.digest import Digest
from ..core.ports import Store


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not what its name says; `used` are the steps whose output it belongs to."""

    digest: Digest
    used: Sequence[str]


def verify(
    store: Store, sum_of: Callable[[Digest], Digest | None], told: Callable[[int, int], None]
) -> tuple[int, list[Damage]]:
    """How many files there are, and which are damaged; those are taken out of the way. One that
    has no sum is gone by now: another command found it damaged."""
    users = _users(store)
    names = list(store.blobs())
    damaged = []
    for number, name in enumerate(names):
        found = sum_of(name)
        if found not in (name, None):
            store.set_aside(name)
            damaged.append(Damage(name, sorted(users.get(name, ()))))
        told(number + 1, len(names))
    return len(names), damaged


def _users(store: Store) -> Mapping[Digest, set[str]]:
    users: dict[Digest, set[str]] = {}
    for trace in store.traces():
        for file in trace.tree.files:
            users.setdefault(file.digest, set()).add(f"{trace.label} ({file.path})")
    return users
