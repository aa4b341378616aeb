"""Garbage collection of a remote: by age, and by the roots that pushes left there.

A push writes which records it is about, before anything else and each time anew. What no young
root names, and is itself as old as that, goes: records first, so that none is left whose contents
are gone. A push that begins while contents are taken away, and finds one of them still there,
leaves a record without it: readers build then, and the next push repairs it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from ..core.ahead import ask_ahead
from ..core.remote import Area, Remote, RemoteObject
from ..core.step import StepKey
from ..errors import IntegrityError
from ..store.traces import trace_from_text
from . import traces
from .listing import NAME
from .ranges import ASKED_AT_ONCE
from .transfer import persist, read_short

LONGEST_ROOT = 64 << 20
"""Bytes; a root of 100,000 keys has 7 MB."""


@dataclass(slots=True)
class Collected:
    """What went, or would go, by area; and how much stays."""

    gone: dict[Area, list[RemoteObject]] = field(default_factory=dict)
    kept: int = 0
    kept_size: int = 0

    @property
    def size(self) -> int:
        return sum(one.size for listed in self.gone.values() for one in listed)


def collect(remote: Remote, before: float, *, dry: bool) -> Collected:
    """Take away what no push since `before` (seconds since 1970) was about, and is older itself."""
    found, named = _look(remote, before)
    while _roots(remote) != named:  # somebody began to push meanwhile
        found, named = _look(remote, before)
    areas: tuple[Area, ...] = ("roots", "ac", "cas")
    for area in areas if not dry else ():
        for one in found.gone[area]:
            persist(partial(remote.remove, area, one.name))
    return found


def _roots(remote: Remote) -> set[RemoteObject]:
    """With their ages: a push of what was pushed before makes a root young again."""
    return set(persist(lambda: list(remote.entries("roots"))))


def _look(remote: Remote, before: float) -> tuple[Collected, set[RemoteObject]]:
    records = persist(lambda: list(remote.entries("ac")))
    contents = persist(lambda: list(remote.entries("cas")))
    roots = sorted(_roots(remote), key=lambda root: root.name)
    keys = {key for root in roots if root.modified >= before for key in _keys(remote, root)}
    keys |= {StepKey(one.name) for one in records if one.modified >= before}
    read = ask_ahead(partial(_contents, remote), keys, ASKED_AT_ONCE)
    names = {name for listed in read for name in listed}
    found = Collected()
    _sort(found, "roots", roots, set(), before)
    _sort(found, "ac", records, keys, before)
    _sort(found, "cas", contents, names, before)
    return found, set(roots)


def _sort(
    found: Collected, area: Area, listed: Sequence[RemoteObject], live: set[str] | set[StepKey],
    before: float,
) -> None:  # fmt: skip
    found.gone[area] = [o for o in listed if o.modified < before and o.name not in live]
    found.kept += len(listed) - len(found.gone[area])
    found.kept_size += sum(o.size for o in listed) - sum(o.size for o in found.gone[area])


def _keys(remote: Remote, root: RemoteObject) -> Sequence[StepKey]:
    content = persist(partial(read_short, remote, "roots", root.name, LONGEST_ROOT))
    if content is None:
        return []
    try:
        return [StepKey(key) for key in json.loads(content)["keys"] if NAME.fullmatch(key)]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(
            f"roots/{root.name} is damaged, so what it keeps is not known",
            hint="push again, and remove it by hand",
        ) from error


def _contents(remote: Remote, key: StepKey) -> Sequence[str]:
    text = persist(partial(traces.read_text, remote, key))
    try:
        return [file.digest for file in trace_from_text(text or "").tree.files]
    except (ValueError, IntegrityError):
        return []  # no record, or one that nobody believes: it keeps nothing
