"""What a manifest names on this machine, and when that changes.

It is looked at twice a second, file by file: that works in network folders and containers too,
misses nothing that changes while a build runs, and is a matter of some stats.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..app.relock import places
from ..errors import CortexError
from ..sources import find_source
from .beside import KEPT, LOCK, read_lock, read_manifest
from .recipes import Recipes

PERIOD = 0.5
"""Seconds from one look to the next."""

Seen = Mapping[Path, tuple[int, ...]]
"""Files that are there, and what their stats say."""


def look(manifest: Path) -> Seen:
    """The manifest, its lock, recipes, and all there is of its sources on this machine. Of a
    manifest that cannot be read only what is beside it: somebody is writing it."""
    path = manifest.absolute()
    root = path.parent
    found = [path, root / LOCK, *Recipes(root).places]
    try:
        lock = read_lock(root)
        origins = set(places(read_manifest(manifest)))
        for origin in origins | set(lock.sources if lock is not None else ()):
            source = find_source(origin)
            if source.local:
                found += source.places(origin, root)
    except CortexError:
        pass  # the sync that follows says what is wrong
    ours = root / KEPT
    seen = {place: _look_at(place) for place in found if ours not in place.parents}
    return {place: told for place, told in seen.items() if told}


def rounds(
    look: Callable[[], Seen],
    lock: Path,
    settle: float,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Seen]:
    """At once, and then after each change, when nothing has changed for `settle` seconds. What
    changes while the caller is busy is the next; but for the lock, which the caller writes."""
    seen = look()
    while True:
        yield seen
        written = {path: told for path, told in look().items() if path == lock}
        before = {path: told for path, told in seen.items() if path != lock} | written
        while look() == before:
            sleep(PERIOD)
        seen = _settled(look, settle, sleep)


def _settled(look: Callable[[], Seen], settle: float, sleep: Callable[[float], None]) -> Seen:
    before: Seen | None = None
    while (now := look()) != before:
        before = now
        sleep(settle)
    return now


def _look_at(place: Path) -> tuple[int, ...]:
    """Empty for what is no file: a folder changes when there is another file in it."""
    try:
        found = place.stat()
    except OSError:
        return ()
    regular = stat.S_ISREG(found.st_mode)
    return (found.st_mtime_ns, found.st_size, found.st_ino) if regular else ()
