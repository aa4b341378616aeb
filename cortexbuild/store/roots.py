"""Which projects use this store, and the views each has: so that none removes what another needs.

One file for each project under `roots/`, written anew when it changes. A project whose folder is
gone needs nothing any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Set
from pathlib import Path

from . import disk


def views_of(root: Path, project: Path) -> frozenset[str]:
    """The views that a project has had, as paths under CORTEX_HOME."""
    return _views(_file(root, project))


def views_of_others(root: Path, project: Path) -> frozenset[str]:
    """The views of all other projects that are still there."""
    own, found = _file(root, project), frozenset[str]()
    for path in sorted((root / "roots").glob("*.json")):
        if path != own and _is_there(path):
            found |= _views(path)
    return found


def keep_views(root: Path, project: Path, views: Set[str]) -> None:
    if views == views_of(root, project):
        return
    value = {"project": str(project), "views": sorted(views)}
    disk.replace_text(_file(root, project), json.dumps(value, indent=1) + "\n")


def _file(root: Path, project: Path) -> Path:
    name = hashlib.sha256(str(project.resolve()).encode()).hexdigest()
    return root / "roots" / f"{name}.json"


def _views(path: Path) -> frozenset[str]:
    try:
        return frozenset(str(view) for view in json.loads(path.read_text())["views"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def _is_there(path: Path) -> bool:
    try:
        return Path(json.loads(path.read_text())["project"]).is_dir()
    except (OSError, ValueError, KeyError, TypeError):
        return False
