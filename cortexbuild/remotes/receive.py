"""An output on its way here: each content from the first remote that has it, and has it right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..core.address import Address
from ..core.ahead import ask_ahead
from ..core.digest import Digest, File, Tree
from ..core.remote import Moved, Remote
from ..errors import IntegrityError, RemoteError
from ..store import disk
from ..store.delivery import StoreDelivery
from ..store.hashing import Sums
from ..store.local import LocalStore
from . import repairs
from .transfer import bring, in_turn

Say = Callable[[str], None]


AT_ONCE = 3
"""Contents on their way at the same time; each takes up to 40 MB of memory."""


@dataclass(slots=True)
class _Arrival:
    """What came of asking for a content: from where, or why not; and who has it wrong."""

    file: File
    part: Path
    address: Address | None = None
    sums: Sums | None = None
    reasons: list[str] = field(default_factory=list)
    damaged: list[tuple[Address, str]] = field(default_factory=list)


def receive(
    tree: Tree,
    remotes: Sequence[tuple[Address, Remote]],
    store: LocalStore,
    delivery: StoreDelivery,
    say: Say,
) -> Mapping[str, int]:
    """Bring what is missing of a tree into the store. Gives the bytes that came, by remote.

    A content that is not what its name says is refused and noted, so that the next push from here
    repairs it. Raises RemoteError when a content is in no remote, IntegrityError when it is in
    some, and wrong in all.
    """
    came: Counter[str] = Counter()
    missing: dict[Digest, File] = {}
    for file in tree.files:
        if store.has_blob(file) or file.digest in missing:
            delivery.moved(file.size)
        else:
            missing[file.digest] = file
    # One after the other: each is an open file, and there may be thousands.
    wanted = (_Arrival(file, delivery.part(file)) for file in missing.values())
    bring_one = partial(_from_any, remotes, in_turn(delivery.moved))
    with closing(ask_ahead(bring_one, wanted, AT_ONCE)) as arriving:
        for arrival in arriving:
            _take(arrival, store, delivery, say)
            assert arrival.address is not None, "what was taken came from somewhere"
            came[arrival.address.name] += arrival.file.size
    return came


def _from_any(
    remotes: Sequence[tuple[Address, Remote]], moved: Moved, arrival: _Arrival
) -> _Arrival:
    """Collect a content from the first remote that has it right."""
    for address, remote in remotes:
        try:
            arrival.sums = _bring_right(remote, arrival.file, arrival.part, moved)
        except RemoteError as error:
            arrival.reasons.append(f"{address.name}: {error}")
        except IntegrityError as error:
            disk.truncate(arrival.part, 0)  # not unlinked: others wait for its lock by name
            arrival.damaged.append((address, str(error)))
            arrival.reasons.append(f"what {address.name} has is damaged")
        else:
            if arrival.sums is not None:
                arrival.address = address
                break
            arrival.reasons.append(f"it is not in {address.name}")
    return arrival


def _bring_right(remote: Remote, file: File, part: Path, moved: Moved) -> Sums | None:
    """The content as it should be, or None where there is none; IntegrityError if it is wrong."""
    had = part.exists() and part.stat().st_size > 0
    sums = bring(remote, file, part, moved)
    if sums is not None and sums.sha256 != file.digest and had:
        disk.truncate(part, 0)  # what lay here from an earlier try may be what is wrong
        sums = bring(remote, file, part, moved)
    if sums is None or (sums.sha256, sums.size) == (file.digest, file.size):
        return sums
    raise IntegrityError(
        f"`{file.path}` (cas/{file.digest}) is not what its name says: {sums.size} bytes of "
        f"sha256 {sums.sha256[:12]}, where {file.size} are expected",
        hint="remove it from the remote, and push again what is right",
    )


def _take(arrival: _Arrival, store: LocalStore, delivery: StoreDelivery, say: Say) -> None:
    for address, why in arrival.damaged:
        repairs.note_wrong(store.index, address, "cas", arrival.file.digest)
        say(f"refused: in {address.name}, {why}")
    if arrival.address is None:
        kind = IntegrityError if arrival.damaged else RemoteError
        raise kind(f"`{arrival.file.path}`: {'; '.join(arrival.reasons)}")
    delivery.take(arrival.file.path, arrival.part, arrival.sums)
