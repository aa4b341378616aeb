"""Which projects use this store, and for what: so that none loses what it counts on.

One file for each project under `roots/`, written anew when it changes, and once a day when it
does not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from ..core.digest import Digest
from ..core.step import StepKey
from ..errors import StoreError
from . import disk, drafts

ABSENCE = timedelta(days=30)
"""For so long a project counts whose folder is gone: it may have moved."""
BESIDE = ("cortex.lock", "cortex.yaml")


@dataclass(frozen=True, slots=True)
class Root:
    """A project: its views as paths under CORTEX_HOME, the steps its targets came to, the trees
    of its sources, and the day on which it was last seen. `name` is that of its file."""

    name: str
    project: Path
    views: frozenset[str] = frozenset()
    keys: frozenset[StepKey] = frozenset()
    sources: frozenset[Digest] = frozenset()
    seen: date = date.min

    def is_there(self) -> bool:
        """Whether the folder is still that of a project."""
        return any((self.project / name).exists() for name in BESIDE)

    def is_expired(self, today: date) -> bool:
        return not self.is_there() and today - self.seen > ABSENCE


def today() -> date:
    return datetime.now(UTC).date()


def root_of(store: Path, project: Path) -> Root:
    """What is known of a project; of one whose file is damaged, nothing."""
    try:
        return _read(store / "roots" / f"{_name(project)}.json")
    except (FileNotFoundError, StoreError):
        return Root(_name(project), project)


def all_roots(store: Path) -> list[Root]:
    """Raises StoreError when a file is damaged: what that project counts on is not known."""
    found = []
    for path in sorted((store / "roots").glob("*.json")):
        with suppress(FileNotFoundError):  # taken away while we look
            found.append(_read(path))
    return found


def views_of_others(store: Path, project: Path) -> frozenset[str]:
    """The views of all other projects that are still there."""
    own, found = _name(project), frozenset[str]()
    for path in sorted((store / "roots").glob("*.json")):
        try:
            root = _read(path)
        except (FileNotFoundError, StoreError):
            continue
        if root.name != own and root.project.is_dir():
            found |= root.views
    return found


def keep_root(store: Path, root: Root) -> bool:
    """Says whether anything had to be written."""
    path = store / "roots" / f"{root.name}.json"
    with suppress(FileNotFoundError, StoreError):
        if root == _read(path):
            return False
    value = {
        "project": str(root.project),
        "views": sorted(root.views),
        "keys": sorted(root.keys),
        "sources": sorted(root.sources),
        "seen": root.seen.isoformat(),
    }
    drafts.replace_text(path, json.dumps(value, indent=1) + "\n")
    return True


def forget_root(store: Path, root: Root) -> None:
    disk.unlink(store / "roots" / f"{root.name}.json")


def _name(project: Path) -> str:
    return hashlib.sha256(str(project.resolve()).encode()).hexdigest()


def _read(path: Path) -> Root:
    try:
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
        found: Mapping[str, Any] = json.loads(path.read_text())
        return Root(
            path.stem,
            Path(str(found["project"])),
            frozenset(str(view) for view in found["views"]),
            frozenset(StepKey(str(key)) for key in found.get("keys", ())),
            frozenset(Digest(str(tree)) for tree in found.get("sources", ())),
            date.fromisoformat(found["seen"]) if "seen" in found else written,
        )
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} cannot be read: {error}",
            hint="remove it; the next `cortexbuild sync` of its project writes it again",
        ) from error
