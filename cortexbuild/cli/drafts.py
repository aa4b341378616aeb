"""A changed cortex.yaml takes the place of the old one, whole; or the old one stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..app.project import Project
from ..core.lock import Pinned
from ..core.manifest import Manifest
from ..errors import UsageError
from ..store import disk, drafts
from . import wire
from .beside import parse_manifest, write_lock


def lock_draft(
    manifest: Path, before: bytes | None, draft: bytes, pinned: Sequence[Pinned] = (), *, lock: bool
) -> tuple[Manifest, Project | None]:
    """Lock a draft, and only then write it: what cannot be locked changes nothing. Without `lock`
    it is only read, so that no mistake is written. What was `pinned` already is not asked again."""
    if not lock:
        parsed = parse_manifest(draft, manifest)
        keep_draft(manifest, before, draft)
        return parsed, None
    project = wire.open_project(manifest, wire.open_store(), draft=draft, pinned=pinned)
    keep_draft(manifest, before, draft, lambda: write_lock(project.root, project.lock))
    return project.manifest, project


def keep_draft(
    manifest: Path, before: bytes | None, draft: bytes, then: Callable[[], None] = lambda: None
) -> None:
    """Write the draft and do the rest; where that fails, what was there `before` comes back, to
    the byte. Raises UsageError when somebody else wrote the manifest meanwhile."""
    place = manifest.resolve()  # a link to it stays one
    if (place.read_bytes() if place.exists() else None) != before:
        raise UsageError(
            f"{manifest} was changed while this command ran", hint="run the same command again"
        )
    drafts.replace(place, draft)
    done = False
    try:
        then()
        done = True
    finally:
        if not done:
            _put_back(place, before)


def _put_back(place: Path, before: bytes | None) -> None:
    if before is None:
        disk.unlink(place)
    else:
        drafts.replace(place, before)
