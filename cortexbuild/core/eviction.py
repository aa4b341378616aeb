"""Which bytes of the store go, and in which order. Pure: what there is in, what goes out.

Two rules decide. An artifact's rank comes first: nothing of a higher rank goes while anything of
a lower one is left. Within a rank, what is cheapest to make again for each byte it frees goes
first. A file that several artifacts share goes with the last of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import IntEnum

from .digest import Digest


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the store. `used` and `changed` are in seconds since 1970; with `elsewhere` it has
    a name outside the store, so that its space is not free when it goes."""

    size: int
    used: float
    changed: float
    elsewhere: bool = False


class Rank(IntEnum):
    """How much there is to an artifact; the lowest goes first."""

    UNUSED = 0  # no record names it
    INTERMEDIATE = 1  # made on the way to something else
    OLD_TARGET = 2  # made for its own sake, and no project has it any more
    OLD_SOURCE = 3  # pinned by no project any more, and can be fetched again
    SOURCE = 4  # pinned by a project; its targets do without, and it can be fetched again
    ONLY_COPY = 5  # a source that cannot be fetched again: goes only if that is asked for
    NEW = 6  # from here on nothing goes: written a moment ago, by whom is not recorded yet
    SPARED = 7  # a source, while it is not known what some project pins
    FINDING = 8  # small, slow to find out, and wanted by a target
    TARGET = 9

    @property
    def word(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a step made or a source brought, or one file of which no record is known.

    `files` are the sizes of its files by content, those that are here; `missing` counts the bytes
    of the others. `seconds` is what making it took, `used` when it was last used.
    """

    name: Digest
    label: str
    kind: str
    rank: Rank
    seconds: float
    used: float
    files: Mapping[Digest, int]
    missing: int = 0

    @property
    def size(self) -> int:
        return sum(self.files.values())


@dataclass(frozen=True, slots=True)
class Gone:
    """An artifact that goes, and the files that go with it: those that no other one needs."""

    artifact: Artifact
    files: Mapping[Digest, int]

    @property
    def size(self) -> int:
        return sum(self.files.values())


@dataclass(frozen=True, slots=True)
class Choice:
    """What goes, in order, and the bytes in the store before and after."""

    gone: Sequence[Gone]
    before: int
    after: int


def choose(
    artifacts: Sequence[Artifact], keep: int = 0, before: float = math.inf,
    *, only_copies: bool = False,
) -> Choice:  # fmt: skip
    """Let artifacts go until at most `keep` bytes are left, or all that may go is gone.

    Only those last used `before` a time may go; of only copies, none unless that is asked for.
    """
    most = Rank.ONLY_COPY if only_copies else Rank.SOURCE
    may_go = [item for item in artifacts if item.rank <= most and item.used < before]
    chosen = {id(item) for item in may_go}
    ranks: dict[Digest, int] = {}
    for item in artifacts:
        rank = item.rank if id(item) in chosen else Rank.TARGET
        for digest in item.files:
            ranks[digest] = max(rank, ranks.get(digest, 0))
    order = sorted(may_go, key=lambda item: _order(item, ranks))
    last = {digest: item for item in order for digest in item.files if ranks[digest] == item.rank}

    total = left = sum({d: size for item in artifacts for d, size in item.files.items()}.values())
    gone = []
    for item in order:
        if left <= keep:
            break
        files = {digest: size for digest, size in item.files.items() if last.get(digest) is item}
        if files:
            gone.append(Gone(item, files))
            left -= gone[-1].size
    return Choice(gone, total, left)


def _order(item: Artifact, ranks: Mapping[Digest, int]) -> tuple[int, float, float, str, Digest]:
    """By what it frees, that is without what something of a higher rank needs."""
    frees = sum(size for digest, size in item.files.items() if ranks[digest] == item.rank)
    return item.rank, item.seconds / max(frees, 1), item.used, item.label, item.name


def sizes_by_rank(artifacts: Sequence[Artifact], without: Set[Digest]) -> Mapping[Rank, int]:
    """Bytes of each rank, a shared file counted once, as part of the highest."""
    highest: dict[Digest, tuple[Rank, int]] = {}
    for item in sorted(artifacts, key=lambda item: item.rank):
        highest |= {digest: (item.rank, size) for digest, size in item.files.items()}
    sums: dict[Rank, int] = {}
    for digest, (rank, size) in highest.items():
        if digest not in without:
            sums[rank] = sums.get(rank, 0) + size
    return dict(sorted(sums.items()))
