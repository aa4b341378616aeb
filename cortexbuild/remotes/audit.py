"""Is what a remote has what it says? Every record weighed, every content read."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from ..core.address import Address
from ..core.remote import Remote, RemoteObject
from ..core.step import StepKey
from ..store.index import Index
from . import repairs, traces
from .tiers import weigh
from .transfer import persist


@dataclass(slots=True)
class Audit:
    """`damaged` are objects, `area/name`, that are not what they should be; `doubted` counts
    records that are whole and not believed, by reason. `bare` counts records whose contents are
    not there, as those of steps between are."""

    records: int = 0
    contents: int = 0
    size: int = 0
    bare: int = 0
    damaged: list[str] = field(default_factory=list)
    doubted: Counter[str] = field(default_factory=Counter)


def audit(
    address: Address,
    remote: Remote,
    trusted: Mapping[str, bytes],
    index: Index,
    moved: Callable[[int], None],
) -> Audit:
    """Read all of it. What is damaged is noted in the index, so that the next push from here puts
    it right. Raises RemoteError."""
    found = Audit()
    listed = {one.name: one for one in persist(lambda: list(remote.entries("cas")))}
    for one in persist(lambda: list(remote.entries("ac"))):
        found.records += 1
        _weigh(address, remote, trusted, one, listed, found)
    for one in listed.values():
        found.contents += 1
        found.size += one.size
        if persist(partial(_sum_of, remote, one.name, moved)) != one.name:
            found.damaged.append(f"cas/{one.name}")
    for name in found.damaged:
        area, _, digest = name.partition("/")
        repairs.note_wrong(index, address, "cas" if area == "cas" else "ac", digest)
    return found


def _weigh(
    address: Address,
    remote: Remote,
    trusted: Mapping[str, bytes],
    one: RemoteObject,
    listed: Mapping[str, RemoteObject],
    found: Audit,
) -> None:
    key = StepKey(one.name)
    text = persist(partial(traces.read_text, remote, key))
    trace, why = weigh(text or "", key, trusted, unsigned=address.unsigned)
    if trace is None:
        if why.startswith("damaged"):
            found.damaged.append(f"ac/{one.name}")
        else:
            found.doubted[why] += 1
    elif not all(file.digest in listed for file in trace.tree.files):
        found.bare += 1


def _sum_of(remote: Remote, name: str, moved: Callable[[int], None]) -> str:
    digest, pieces = hashlib.sha256(), remote.read("cas", name)
    if pieces is None:
        return name  # taken away meanwhile
    with closing(pieces):
        for piece in pieces:
            digest.update(piece)
            moved(len(piece))
    return digest.hexdigest()
