"""Records and contents on their way to a remote: what is missing there, contents first.

A reader believes a record and then asks for its contents, so a record is written when all of them
are there. A push that was killed leaves contents that no record names: the next one finds them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..core.address import Address
from ..core.digest import File
from ..core.remote import Moved, Remote
from ..core.step import Trace
from ..errors import RemoteError, UsageError
from ..store import disk
from ..store.local import LocalStore
from . import repairs, traces
from .signing import SigningKey, is_signed, signed
from .tiers import weigh
from .transfer import in_turn, persist

AT_ONCE = 2
"""Contents on their way at the same time; in a bucket each goes in several parts at once anyway."""


@dataclass(slots=True)
class Sent:
    """What a push came to. `others` are the labels of steps whose records there, of somebody who
    is believed, say another output than ours: those stay. `rooted` is whether the other side took
    a root, by which `collect` keeps what was sent; bazel-remote takes none, and collects itself.
    `strangers` are steps whose records here are of somebody who is not trusted: a key signs only
    what was made where it is, so they are not sent."""

    records: int = 0
    contents: int = 0
    size: int = 0
    there: int = 0
    others: list[str] = field(default_factory=list)
    rooted: bool = True
    strangers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends, and to where. Without a `key` only an unsigned folder takes anything."""

    address: Address
    remote: Remote
    key: SigningKey | None
    trusted: Mapping[str, bytes]
    store: LocalStore


def _unseen(count: int) -> None:
    del count


def check_key(address: Address, key: SigningKey | None) -> None:
    """Raises UsageError where what is sent would be believed by nobody."""
    if key is None and not address.unsigned:
        raise UsageError(
            f"there is no key to sign with, and {address.name} takes only what is signed",
            hint="`cortexbuild keys new NAME` makes one; in CI, set CORTEX_SIGNING_KEY",
        )


def send(
    sender: Sender, parcels: Sequence[tuple[Trace, bool]], scratch: Path, moved: Moved,
    begin: Moved = _unseen,
) -> Sent:  # fmt: skip
    """Bring records there, and the contents of those that are to be `whole`. `begin` hears how
    many bytes will be `moved`.

    Raises RemoteError, and IntegrityError when a content here is damaged: it is set aside, and
    nothing of it goes out.
    """
    check_key(sender.address, sender.key)
    rooted = _send_root(sender, [trace for trace, _ in parcels], scratch)
    files = {f.digest: f for trace, whole in parcels if whole for f in trace.tree.files}
    sent = send_contents(sender, list(files.values()), moved, begin)
    sent.rooted = rooted
    for trace, whole in parcels:
        _send_record(sender, trace, whole, scratch, sent)
    return sent


def _send_root(sender: Sender, wanted: Iterable[Trace], scratch: Path) -> bool:
    """First of all, so that a garbage collection that begins now keeps what comes."""
    text = json.dumps({"keys": sorted({trace.key for trace in wanted})}, indent=0) + "\n"
    name = hashlib.sha256(text.encode()).hexdigest()
    draft = scratch / f"{name}.root"
    disk.write_text(draft, text)
    try:
        persist(partial(sender.remote.write, "roots", name, draft, _unseen))
    except RemoteError as error:
        if error.passing:
            raise
        return False  # if nothing else is taken either, that will be told
    finally:
        disk.unlink(draft)
    return True


def send_contents(
    sender: Sender, files: Sequence[File], moved: Moved, begin: Moved = _unseen
) -> Sent:
    """Bring those contents there that are missing. That needs no key: they are what they are."""
    sent = Sent()
    sizes = persist(partial(sender.remote.sizes, "cas", [file.digest for file in files]))
    missing = [file for file in files if not _is_there(sender, file, sizes)]
    sent.there += len(files) - len(missing)
    sender.store.check_blobs(missing)  # all are read before any goes out
    begin(sum(file.size for file in missing))
    told = in_turn(moved)
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        for one in [pool.submit(_send_content, sender, file, told) for file in missing]:
            one.result()
    finally:
        pool.shutdown(cancel_futures=True)
    for file in missing:
        repairs.note_right(sender.store.index, sender.address, "cas", file.digest)
        sent.contents += 1
        sent.size += file.size
    return sent


def _is_there(sender: Sender, file: File, sizes: Mapping[str, int]) -> bool:
    wrong = repairs.is_wrong(sender.store.index, sender.address, "cas", file.digest)
    return sizes.get(file.digest) == file.size and not wrong


def _send_content(sender: Sender, file: File, moved: Moved) -> None:
    source = sender.store.blob(file.digest)
    persist(partial(sender.remote.write, "cas", file.digest, source, moved))


def _send_record(sender: Sender, trace: Trace, whole: bool, scratch: Path, sent: Sent) -> None:
    text = persist(partial(traces.read_text, sender.remote, trace.key))
    if text is not None:
        there, _ = weigh(text, trace.key, sender.trusted, unsigned=sender.address.unsigned)
        if there is not None and (there.tree == trace.tree or _stands(sender, there, whole)):
            sent.there += 1
            if there.tree != trace.tree:
                sent.others.append(trace.label)
            return
    if not sender.address.unsigned and not is_signed(trace, sender.trusted):
        if trace.signatures or sender.key is None:
            sent.strangers.append(trace.label)
            return
        trace = signed(trace, sender.key)
    write: Callable[[], bool] = partial(
        traces.write, sender.remote, trace, scratch, only_new=text is None
    )
    if persist(write):
        sent.records += 1
    else:
        sent.there += 1  # another was first, a moment ago
    repairs.note_right(sender.store.index, sender.address, "ac", trace.key)


def _stands(sender: Sender, there: Trace, whole: bool) -> bool:
    """Whether somebody else's record can be used: its contents are there, if it is to have any."""
    if not whole:
        return True
    names = [file.digest for file in there.tree.files]
    sizes = persist(partial(sender.remote.sizes, "cas", names))
    return all(_is_there(sender, file, sizes) for file in there.tree.files)
