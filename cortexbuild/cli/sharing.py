"""The real parts of the shared caches: which remotes a command uses, what it sends them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from threading import Lock

from ..app.project import Project
from ..app.share import Parcel, parcels
from ..core.access import Mode, modes
from ..core.address import Address
from ..core.events import Emit, Said, StepMoved
from ..core.manifest import Manifest
from ..core.step import Trace
from ..errors import RemoteError
from ..remotes import open_remote
from ..remotes.keys import public_text, signing_key, trusted_keys
from ..remotes.send import Sender, Sent, check_key, send
from ..remotes.tiers import Tier, Tiers
from ..sources import is_offline
from ..store.scratch import scratch
from ..store.storelock import store_lock
from . import wire

VARIABLE = "CORTEX_CACHE"


@dataclass(frozen=True, slots=True)
class Sharing:
    """How a command uses the remotes: `access` as `--cache` has it; `required` ones stop a command
    when they cannot be used; `key` names what to sign with."""

    access: str = ""
    required: bool = False
    key: str = ""

    def modes(self, manifest: Manifest) -> Mapping[str, Mode]:
        text = self.access or os.environ.get(VARIABLE, "")
        return modes(text, [address.name for address in manifest.cache.remotes])

    def used(self, manifest: Manifest) -> list[Address]:
        """The remotes that are not off; without a network, those of them that are folders."""
        chosen = self.modes(manifest)
        used = [address for address in manifest.cache.remotes if chosen[address.name] != "off"]
        return [one for one in used if one.scheme == "file"] if is_offline() else used


def keys_folder() -> Path:
    return wire.home() / "build" / "keys"


def share(
    project: Project, sharing: Sharing, warn: Callable[[str], None], *, keep: bool = True
) -> tuple[Project, Tiers | None]:
    """The project with the remotes that may be read; None when there is none. Nothing is asked of
    them yet, and what goes wrong with one is told to `warn`.

    What becomes known of steps is kept in the store if `keep` says so.
    """
    addresses = sharing.used(project.manifest)
    if not addresses:
        return project, None
    store = wire.store_of(project)

    def found(trace: Trace) -> None:
        with scratch(store.root) as folder:
            store.keep_trace(trace, folder)

    tiers = Tiers(
        [Tier(address, partial(open_remote, address, project.root)) for address in addresses],
        cache(partial(trusted_keys, keys_folder(), project.manifest.trust)),
        store,
        warn,
        found if keep else lambda _: None,
        required=sharing.required,
    )
    return replace(project, shared=tiers), tiers


def writers(project: Project, sharing: Sharing, warn: Callable[[str], None]) -> list[Sender]:
    """The remotes that a sync is to fill. Raises UsageError where nobody would believe it."""
    chosen = sharing.modes(project.manifest)
    names = [one.name for one in sharing.used(project.manifest) if chosen[one.name] == "rw"]
    return senders(project, sharing.key, names, warn)


def senders(
    project: Project, key_name: str, names: Sequence[str], warn: Callable[[str], None]
) -> list[Sender]:
    """Who sends to the remotes of these names. Raises UsageError where nobody would believe it,
    and warns where only machines would that trust the key by themselves."""
    known = {address.name: address for address in project.manifest.cache.remotes}
    key = signing_key(keys_folder(), key_name) if names else None
    trusted = trusted_keys(keys_folder(), project.manifest.trust) if names else {}
    found = []
    for name in names:
        check_key(known[name], key)
        remote = open_remote(known[name], project.root)
        found.append(Sender(known[name], remote, key, trusted, wire.store_of(project)))
    signs = any(not known[name].unsigned for name in names)
    if signs and key is not None and public_text(key) not in project.manifest.trust:
        warn(
            f"`trust:` in cortex.yaml does not name the key `{key.name}`: what it signs is used "
            f"only where `cortexbuild keys trust {public_text(key)}` was run"
        )
    return found


def _counting(remote: str, emit: Emit) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """What a push tells of the bytes that it moved, and before of all that it will move."""
    lock, done, total = Lock(), 0, 0

    def moved(count: int) -> None:
        nonlocal done
        with lock:  # several files go at a time
            done += count
            emit(StepMoved(f"push to {remote}", done, total))

    def begin(size: int) -> None:
        nonlocal total
        total = size

    return moved, begin


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push to one remote came to, or why it came to nothing."""

    remote: str
    sent: Sent | None
    wrong: RemoteError | None = None


def push_good(
    project: Project, targets: Sequence[str], to: Sequence[Sender], sharing: Sharing, emit: Emit
) -> list[Pushed]:
    """After a sync: send what is good of its targets. What does not work is a warning, unless the
    remotes are required."""
    with store_lock(project.store.root, "push", lambda text: emit(Said(text))):
        told = push(to, parcels(project, targets).parcels, emit)
    for one in told:
        if one.wrong is not None:
            if sharing.required:
                raise one.wrong
            emit(Said(f"nothing more is sent to {one.remote}: {one.wrong}"))
    return told


def push(to: Sequence[Sender], found: Sequence[Parcel], emit: Emit) -> list[Pushed]:
    """Send to each remote, with the store locked; one that is away does not keep the others from
    being sent to. Raises IntegrityError for what is damaged here."""
    told = []
    parcel = [(one.trace, one.whole) for one in found]
    for sender in to if parcel else ():
        with scratch(sender.store.root) as folder:
            try:
                sent = send(sender, parcel, folder, *_counting(sender.address.name, emit))
            except RemoteError as error:
                told.append(Pushed(sender.address.name, None, error))
            else:
                told.append(Pushed(sender.address.name, sent))
    return told
