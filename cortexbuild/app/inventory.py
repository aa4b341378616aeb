"""What is in the store, and what each thing of it is there for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from ..core.digest import Digest, Tree
from ..core.eviction import Artifact, Rank, Stored
from ..core.step import Kind, StepKey, Trace

HOUR = 3600.0
"""Files that no record names are left alone for so long: their record may be on its way, from
a program that knows no lock or over a file system that has none."""
SMALL = 1 << 20
"""Bytes. What was found out for a target, in hours maybe, is not worth deleting for less."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What a project counts on: the steps its targets come to, the trees of its sources, and those
    that cortex.lock pins now, by origin."""

    project: Path
    keys: Set[StepKey]
    sources: Set[Digest]
    pins: Mapping[str, Tree]

    def trees(self) -> frozenset[Digest]:
        """The digests of all its sources."""
        return frozenset(self.sources).union(tree.digest for tree in self.pins.values())


@dataclass(frozen=True, slots=True)
class Seen:
    """The store as it is `now`. `shown` has, for each view, the tree and the files it shows.

    With `spare_sources` every source stays: what some project pins is not known.
    """

    files: Mapping[Digest, Stored]
    traces: Sequence[Trace]
    holds: Sequence[Hold]
    shown: Mapping[str, tuple[Digest, Set[Digest]]]
    now: float
    spare_sources: bool = False

    def ends(self) -> frozenset[StepKey]:
        """The steps that targets come to: what projects know of theirs, and what views show."""
        shown = {tree for tree, _ in self.shown.values()}
        showing = (trace.key for trace in self.traces if trace.tree.digest in shown)
        return frozenset(showing).union(*(hold.keys for hold in self.holds))


def inventory(seen: Seen, can_fetch: Callable[[str, Tree], bool]) -> list[Artifact]:
    """Every artifact of which a record or a byte is there; each file in one of them at least.

    `can_fetch` tells whether an origin still has a tree.
    """
    source = _sources(seen, can_fetch)
    ends = seen.ends()
    needed = below(seen.traces, ends)
    read = _read_by_makers(seen.traces)
    grouped: dict[Digest, list[Trace]] = {}
    for trace in seen.traces:
        grouped.setdefault(trace.tree.digest, []).append(trace)

    def rank(trace: Trace) -> Rank:
        kind = trace.ingredients.get("kind")
        if trace.key in ends:
            return Rank.TARGET
        if kind == Kind.FETCH:
            return source(trace.made.get("origin", ""), trace.tree)
        if kind in (Kind.DETECT, Kind.MEASURE):
            wanted = trace.key in needed and trace.tree.size <= SMALL
            return Rank.FINDING if wanted else Rank.INTERMEDIATE
        largest = max(trace.tree.files, key=lambda file: file.size, default=None)
        on_the_way = largest is not None and largest.digest in read
        return Rank.INTERMEDIATE if on_the_way else Rank.OLD_TARGET

    found = [
        _artifact(seen, name, traces, max(rank(trace) for trace in traces))
        for name, traces in grouped.items()
    ]
    for hold in seen.holds:  # what came of a fetch that was broken off has no record yet
        for origin, tree in hold.pins.items():
            part = _of_files(seen, tree, origin, source(origin, tree))
            if part.files and tree.digest not in grouped:
                grouped[tree.digest] = []
                found.append(part)
    for view, (name, digests) in seen.shown.items():
        if name not in grouped and digests:
            files = {digest: seen.files[digest].size for digest in digests}
            used = max(seen.files[digest].used for digest in digests)
            found.append(Artifact(name, view, "view", Rank.TARGET, 0.0, used, files))
    known = {digest for artifact in found for digest in artifact.files}
    return found + [_unnamed(seen, digest) for digest in seen.files if digest not in known]


def _sources(seen: Seen, can_fetch: Callable[[str, Tree], bool]) -> Callable[[str, Tree], Rank]:
    pinned = frozenset[Digest]().union(*(hold.trees() for hold in seen.holds))
    origins = {tree.digest: origin for hold in seen.holds for origin, tree in hold.pins.items()}

    def rank(origin: str, tree: Tree) -> Rank:
        if seen.spare_sources:
            return Rank.SPARED
        here = any(file.digest in seen.files for file in tree.files)
        if here and not can_fetch(origins.get(tree.digest, origin), tree):
            return Rank.ONLY_COPY
        return Rank.SOURCE if tree.digest in pinned else Rank.OLD_SOURCE

    return rank


def below(traces: Iterable[Trace], keys: Set[StepKey]) -> frozenset[StepKey]:
    """These steps and all that they were made from, by what their records say they read."""
    by_key = {trace.key: trace for trace in traces}
    makers: dict[Digest, list[StepKey]] = {}
    for trace in by_key.values():
        for file in trace.tree.files:
            makers.setdefault(file.digest, []).append(trace.key)
    found: set[StepKey] = set()
    stack = [key for key in keys if key in by_key]
    while stack:
        key = stack.pop()
        if key not in found:
            found.add(key)
            stack += [maker for digest in reads(by_key[key]) for maker in makers.get(digest, ())]
    return frozenset(found)


def reads(trace: Trace) -> set[Digest]:
    """The files that a step's record says it was given."""
    inputs = trace.ingredients.get("inputs")
    if not isinstance(inputs, Mapping):
        return set()
    roles = [files for files in inputs.values() if isinstance(files, Mapping)]
    return {Digest(str(digest)) for files in roles for digest in files.values()}


def _read_by_makers(traces: Iterable[Trace]) -> set[Digest]:
    """What steps read whose output is a model; being looked at and measured is no use of it."""
    makers = (Kind.CONVERT, Kind.QUANTIZE)
    of_makers = [reads(trace) for trace in traces if trace.ingredients.get("kind") in makers]
    return set().union(*of_makers)


def _artifact(seen: Seen, name: Digest, traces: Sequence[Trace], rank: Rank) -> Artifact:
    first = traces[0]
    origin = first.made.get("origin")
    label = f"{first.label} ({origin})" if origin else first.label
    more = _of_files(seen, first.tree, label, rank)
    seconds = max(trace.seconds or 0.0 for trace in traces)
    kind = str(first.ingredients.get("kind"))
    return Artifact(name, label, kind, rank, seconds, more.used, more.files, more.missing)


def _of_files(seen: Seen, tree: Tree, label: str, rank: Rank) -> Artifact:
    here = {f.digest: seen.files[f.digest].size for f in tree.files if f.digest in seen.files}
    missing = sum(file.size for file in tree.files if file.digest not in here)
    used = max((seen.files[digest].used for digest in here), default=0.0)
    return Artifact(tree.digest, label, Kind.FETCH, rank, 0.0, used, here, missing)


def _unnamed(seen: Seen, digest: Digest) -> Artifact:
    file = seen.files[digest]
    rank = Rank.NEW if file.changed > seen.now - HOUR else Rank.UNUSED
    return Artifact(digest, digest[:12], "file", rank, 0.0, file.used, {digest: file.size})
