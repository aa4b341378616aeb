"""What lies in the store: its form, its index, who uses it, what was left behind."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ...store.local import LAYOUT
from ...store.roots import all_roots
from ...store.scratch import left
from ...store.storelock import holders
from .. import words
from .finding import Finding, Ground, error, ok, warning

AHEAD = 300.0
"""Seconds that a record may be ahead of the clock: other machines write records too."""


def form(ground: Ground) -> Iterator[Finding]:
    path = ground.store / "store.json"
    if not path.exists():
        yield ok("the store is empty")
        return
    try:
        layout = json.loads(path.read_text())["layout"]
    except (OSError, ValueError, KeyError, TypeError):
        layout = "unreadable"
    if layout == LAYOUT:
        yield ok(f"the store has layout {LAYOUT}")
    else:
        yield error(
            f"{path}: layout {layout}, and this cortexbuild knows {LAYOUT}",
            "use the version of cortexbuild that wrote it, or another CORTEX_HOME",
        )


def index(ground: Ground) -> Iterator[Finding]:
    path = ground.store / "index.sqlite"
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            said = str(db.execute("pragma quick_check").fetchone()[0])
    except sqlite3.DatabaseError as reason:
        said = str(reason)
    if said == "ok":
        yield ok("the index is whole")
    else:
        yield error(
            f"{path} is damaged: {said.splitlines()[0]}",
            f"rm {path}*, while no cortexbuild runs: it is made anew from what is stored",
        )


def in_use(ground: Ground) -> Iterator[Finding]:
    for holder in holders(ground.store):
        yield ok(f"the store is in use by {holder}")


def debris(ground: Ground) -> Iterator[Finding]:
    found = left(ground.store) if (ground.store / "tmp").is_dir() else []
    if found:
        count = words.count(len(found), "folder")
        yield warning(
            f"{count} of commands that were ended half-way ({words.size(_size(found))})",
            "the next `cortexbuild sync` clears them away",
        )
    folder = ground.store / "corrupt"
    damaged = list(folder.iterdir()) if folder.is_dir() else []
    if damaged:
        yield warning(
            f"{words.count(len(damaged), 'file')} that were found damaged are kept in {folder}; if "
            "there are many, the disk may be failing",
            f"look at the disk (`dmesg`, `smartctl`), then `rm -r {folder}`",
        )
    if not found and not damaged:
        yield ok("nothing was left behind")


def projects(ground: Ground) -> Iterator[Finding]:
    known = all_roots(ground.store) if (ground.store / "roots").is_dir() else []
    gone = [str(root.project) for root in known if not root.is_there()]
    if gone:
        yield warning(
            f"projects that are not there any more still count: {', '.join(gone[:3])}"
            + (f" and {len(gone) - 3} more" if len(gone) > 3 else ""),
            "`cortexbuild cache gc` forgets each 30 days after it was last seen",
        )
    elif known:
        yield ok(f"{words.count(len(known), 'project')} use this store")


def clock(ground: Ground) -> Iterator[Finding]:
    yield of_clock(time.time(), _newest(ground.store))


def of_clock(now: float, newest: float) -> Finding:
    """The clock beside the newest thing that was written here."""
    mend = "set the clock: `sudo timedatectl set-ntp true`, or `sudo sntp -sS time.apple.com`"
    if now < 1767225600:  # 2026-01-01
        return error(f"the clock says {words.day(now)}: certificates will not be believed", mend)
    if newest > now + AHEAD:
        ahead = words.time(newest - now)
        return warning(f"what was written here last is {ahead} ahead of the clock", mend)
    return ok("the clock is not behind what was written here")


def _newest(store: Path) -> float:
    folders = (store / "runs", store / "roots", store / "ac" / "v1")
    found = [path for folder in folders if folder.is_dir() for path in (folder, *folder.iterdir())]
    return max((path.stat().st_mtime for path in found), default=0.0)


def _size(folders: list[Path]) -> int:
    return sum(p.lstat().st_size for folder in folders for p in folder.rglob("*") if p.is_file())
