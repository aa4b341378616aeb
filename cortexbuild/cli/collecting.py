"""`cache gc`, `ls` and `stats`: the real parts for looking at the store and taking bytes away."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from ..app.inventory import Hold, Seen, below, inventory
from ..core.digest import Digest, Tree
from ..core.eviction import Artifact, Choice, choose
from ..core.lock import Pinned
from ..core.step import StepKey
from ..errors import CortexError, LockError, UsageError
from ..sources import find_source
from ..store.census import Census, census, debris, old_traces
from ..store.freeing import forget_traces, free_files, free_folders, remove_debris
from ..store.local import LocalStore
from ..store.roots import Root, all_roots, forget_root, keep_root, today
from ..store.steplock import sweep_step_locks
from . import wire
from .beside import read_lock
from .looks import IndexedLooks

WEEK = 7 * 86_400.0
YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Look:
    """The store as it is now. `expired` are projects that count no more, with the views that go
    with them; `notes` are for people."""

    seen: Seen
    census: Census
    artifacts: Sequence[Artifact]
    roots: Sequence[Root]
    expired: Mapping[Root, Sequence[str]]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Collection:
    """What a garbage collection takes away, or would."""

    look: Look
    choice: Choice
    folders: Mapping[Digest, frozenset[Digest]]
    traces: Sequence[StepKey]
    debris: Mapping[Path, int]

    def files(self) -> frozenset[Digest]:
        return frozenset(digest for gone in self.choice.gone for digest in gone.files)


def look(store: LocalStore) -> Look:
    """Changes nothing."""
    found, notes = census(store), list[str]()
    roots = all_roots(store.root)
    live = [root for root in roots if not root.is_expired(today())]
    shown = wire.open_views(store).all()
    expired = {root: _views_of_it_alone(root, live, shown) for root in roots if root not in live}
    gone = {view for views in expired.values() for view in views}
    commits: dict[str, str] = {}
    holds = [_hold(root, notes, commits) for root in live]
    seen = Seen(
        files=found.files,
        traces=list(store.traces()),
        holds=holds,
        shown={
            view: (tree, found.folders[tree].files if tree in found.folders else frozenset())
            for view, tree in shown.items()
            if view not in gone
        },
        now=time.time(),
        spare_sources=bool(notes),
    )
    artifacts = inventory(seen, partial(_can_fetch, store, roots, commits))
    return Look(seen, found, artifacts, live, expired, notes)


def collect(
    store: LocalStore, keep: int | None, age: timedelta | None, *, only_copies: bool
) -> Collection:
    """What would go to have at most `keep` bytes, or nothing that was not used for `age`."""
    found = look(store)
    now = found.seen.now
    if age is not None:
        before = now - age.total_seconds()
        choice = choose(found.artifacts, 0, before, only_copies=only_copies)
    else:
        before = now - WEEK
        choice = choose(found.artifacts, keep or 0, only_copies=only_copies)
    gone = {digest for one in choice.gone for digest in one.files}
    shown = {tree for tree, _ in found.seen.shown.values()}
    folders = {
        name: folder.files
        for name, folder in found.census.folders.items()
        if name not in shown and (folder.files & gone or not folder.whole)
    }
    return Collection(found, choice, folders, _old_traces(store, found), debris(store, before))


def carry_out(store: LocalStore, plan: Collection) -> None:
    """Only for who holds the store lock alone. Views go before the project that had them, so that
    one that is left is never taken for somebody's. What makes room comes before what takes some:
    the disk may be full."""
    views = wire.open_views(store)
    for root, names in plan.look.expired.items():
        for name in names:
            views.remove(name)
        forget_root(store.root, root)
    remove_debris(plan.debris)
    free_files(store, (digest for gone in plan.choice.gone for digest in gone.files))
    free_folders(store, plan.folders)
    forget_traces(store, plan.traces)
    sweep_step_locks(store.root)
    for root in plan.look.roots:
        if root.is_there():
            keep_root(store.root, replace(root, seen=today()))


def _hold(root: Root, notes: list[str], commits: dict[str, str]) -> Hold:
    pins: dict[str, Tree] = {}
    if root.is_there():
        try:
            lock = read_lock(root.project)
            if lock is None:
                raise LockError(
                    f"{root.project} has no cortex.lock", hint="run `cortexbuild lock` there"
                )
            pins = {origin: pinned.whole for origin, pinned in lock.sources.items()}
            commits |= {origin: pinned.commit for origin, pinned in lock.sources.items()}
        except CortexError as error:
            notes.append(f"no source goes, since of {root.project} it is not known: {error}")
    sources = frozenset[Digest]() if pins else root.sources
    return Hold(root.project, root.keys, sources, pins)


def _views_of_it_alone(
    root: Root, live: Sequence[Root], shown: Mapping[str, Digest]
) -> Sequence[str]:
    kept = frozenset[str]().union(*(other.views for other in live))
    return sorted(view for view in root.views - kept if view in shown)


def _can_fetch(
    store: LocalStore, roots: Sequence[Root], commits: Mapping[str, str], origin: str, tree: Tree
) -> bool:
    """Whether a source has these bytes still, looked for from every project that is known."""
    try:
        source = find_source(origin)
    except UsageError:
        return False
    pinned = Pinned(origin, tree, {}, commits.get(origin, ""))
    looks = IndexedLooks(store.index)
    if not source.local:
        return source.has(pinned, store.root, looks)
    return any(source.has(pinned, root.project, looks) for root in roots)


def _old_traces(store: LocalStore, found: Look) -> Sequence[StepKey]:
    """Records older than a year whose bytes are gone, and that no live target stands on."""
    needed = below(found.seen.traces, found.seen.ends())
    old = set(old_traces(store, found.seen.now - YEAR.total_seconds()))
    return [
        trace.key
        for trace in found.seen.traces
        if trace.key in old
        and trace.key not in needed
        and any(file.digest not in found.seen.files for file in trace.tree.files)
    ]
