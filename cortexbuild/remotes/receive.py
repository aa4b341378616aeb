"""An output on its way here: each content from the first remote that has it, and has it right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..core.address import Address
from ..core.digest import File, Tree
from ..core.remote import Remote
from ..errors import IntegrityError, RemoteError
from ..store.delivery import StoreDelivery
from ..store.local import LocalStore
from . import repairs
from .transfer import bring

Say = Callable[[str], None]


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
    came = dict.fromkeys((address.name for address, _ in remotes), 0)
    for file in tree.files:
        if store.has_blob(file):
            delivery.moved(file.size)
            continue
        try:
            _receive(file, remotes, store, delivery, came, say)
        finally:
            delivery.close()
    return {name: count for name, count in came.items() if count}


def _receive(
    file: File,
    remotes: Sequence[tuple[Address, Remote]],
    store: LocalStore,
    delivery: StoreDelivery,
    came: dict[str, int],
    say: Say,
) -> None:
    part, reasons, wrong = delivery.part(file), [], False
    for address, remote in remotes:
        try:
            if _bring_right(remote, file, part, delivery):
                came[address.name] += file.size
                return
            reasons.append(f"it is not in {address.name}")
        except RemoteError as error:
            reasons.append(f"{address.name}: {error}")
        except IntegrityError as error:
            part.unlink(missing_ok=True)
            repairs.note_wrong(store.index, address, "cas", file.digest)
            say(f"refused: in {address.name}, {error}")
            reasons.append(f"what {address.name} has is damaged")
            wrong = True
    kind = IntegrityError if wrong else RemoteError
    raise kind(f"`{file.path}`: {'; '.join(reasons)}")


def _bring_right(remote: Remote, file: File, part: Path, delivery: StoreDelivery) -> bool:
    """Whether it was there, and is in the store now."""
    had = part.exists() and part.stat().st_size > 0
    sums = bring(remote, file, part, delivery.moved)
    if sums is not None and sums.sha256 != file.digest and had:
        part.unlink()  # what lay here from an earlier try may be what is wrong
        sums = bring(remote, file, part, delivery.moved)
    if sums is None:
        return False
    if (sums.sha256, sums.size) == (file.digest, file.size):
        delivery.take(file.path, part, sums)
        return True
    raise IntegrityError(
        f"`{file.path}` (cas/{file.digest}) is not what its name says: {sums.size} bytes of "
        f"sha256 {sums.sha256[:12]}, where {file.size} are expected"
    )
