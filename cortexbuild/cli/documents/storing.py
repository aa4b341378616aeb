"""`cache …`, `verify` with `--json`."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import TypedDict

Artifact = TypedDict(
    "Artifact",
    {
        "name": str,
        "label": str,
        "kind": str,
        "class": str,
        "size": int,
        "here": int,
        "seconds": float | None,
        "used": str | None,
    },
)
Artifact.__doc__ = """A tree in the store. `size` and what of it is `here` are in bytes, `seconds`
what it took to make, `used` the day of its last use, `class` what it is there for."""


class Artifacts(TypedDict):
    """What the store has."""

    artifacts: list[Artifact]


class StoreStats(TypedDict):
    """Bytes by what they are there for, by project, and by several projects."""

    store: str
    files: int
    bytes: int
    classes: Mapping[str, int]
    projects: Mapping[str, int]
    shared: int
    notes: list[str]


class Gone(Artifact):
    """An artifact that was let go of, and the bytes that were freed."""

    freed: int


class Kept(TypedDict):
    """Bytes that stayed, and why."""

    bytes: int
    why: str


class Expired(TypedDict):
    """A project that is not there any more."""

    project: str
    seen: str
    views: list[str]


class Collected(TypedDict):
    """What went, or with `dry_run` would go. `debris` are bytes that killed runs left, `traces`
    the keys of records that went."""

    dry_run: bool
    before: int
    after: int
    gone: list[Gone]
    kept: Mapping[str, Kept]
    expired: list[Expired]
    debris: int
    traces: list[str]
    notes: list[str]


class Damaged(TypedDict):
    """A content that is not what its name says, and the steps that used it."""

    sha256: str
    used: list[str]


class Verified(TypedDict):
    """How many files were read, and which were damaged."""

    files: int
    damaged: list[Damaged]


class RemoteRecord(TypedDict):
    """A record in a remote, as columns of text: `cache ls` shows the same."""

    state: str
    size: str
    modified: str
    signed: str
    label: str


class RemoteRecords(TypedDict):
    """The records of a remote."""

    records: list[RemoteRecord]


class Area(TypedDict):
    """How many objects, and their bytes."""

    count: int
    bytes: int


class RemoteStats(TypedDict):
    """Areas are `ac` (records), `cas` (contents) and `roots` (pushes)."""

    remote: str
    areas: Mapping[str, Area]


class RemoteCollected(TypedDict):
    """What went from a remote, counted by area; bytes that were freed, and that stay."""

    dry_run: bool
    remote: str
    gone: Mapping[str, int]
    freed: int
    after: int


class RemoteVerified(TypedDict):
    """What was read of a remote. `record_only` counts records whose contents are not all there,
    `doubted` records that are not believed, by why."""

    remote: str
    records: int
    files: int
    bytes: int
    record_only: int
    damaged: list[str]
    doubted: Mapping[str, int]


DOCUMENTS = {
    "verify/1": Verified,
    "cache-ls/1": Artifacts,
    "cache-stats/1": StoreStats,
    "gc/1": Collected,
    "cache-ls-remote/1": RemoteRecords,
    "cache-stats-remote/1": RemoteStats,
    "gc-remote/1": RemoteCollected,
    "verify-remote/1": RemoteVerified,
}
