"""Letting intermediates go while a sync runs: what of their bytes nobody else counts on."""

from __future__ import annotations

from collections.abc import Set

from ..app.inventory import below
from ..core.digest import Digest
from ..core.step import Kind
from ..errors import StoreError
from ..store.freeing import free_files
from ..store.local import LocalStore
from ..store.roots import all_roots
from ..store.storelock import alone_for_now


def drop(store: LocalStore, project: str, before: Set[Digest], files: Set[Digest]) -> Set[Digest]:
    """Take these files out of the store, but for those that somebody else counts on, and gives
    them; while another command uses the store, nothing happens.

    `project` is the name of the one that is built, and `before` what was there before it began.
    """
    with alone_for_now(store.root) as alone:
        if not alone:
            return frozenset()
        try:
            kept = files & _counted_on(store, project, files & before)
        except StoreError:  # what some project counts on is not known
            return files
        kept |= {file for file in files if _has_other_names(store, file)}
        free_files(store, files - kept)
        return kept


def _counted_on(store: LocalStore, project: str, old: Set[Digest]) -> set[Digest]:
    """What any project's targets are; and of what was there before, sources and what another
    project's targets were made from."""
    roots = all_roots(store.root)
    ends = {key for root in roots for key in root.keys}
    found = {file.digest for key in ends if (t := store.read_trace(key)) for file in t.tree.files}
    if old:
        traces = list(store.traces())
        others = {key for root in roots if root.name != project for key in root.keys}
        kept = below(traces, others)
        for trace in traces:
            if trace.key in kept or trace.ingredients.get("kind") == Kind.FETCH:
                found |= {file.digest for file in trace.tree.files}
    return found


def _has_other_names(store: LocalStore, file: Digest) -> bool:
    """In a folder that a view shows; or another program has it."""
    try:
        return store.blob(file).stat().st_nlink > 1
    except FileNotFoundError:
        return False
