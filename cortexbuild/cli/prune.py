"""`sync --prune`: take away the views of targets that the manifest has no more."""

from __future__ import annotations

from collections.abc import Sequence

from ..app.project import Project
from ..store.roots import keep_views, views_of, views_of_others
from . import wire


def note_views(project: Project) -> None:
    """Remember which views this project has; those of old targets stay its own until pruned."""
    store = wire.store_of(project)
    keep_views(store.root, project.root, views_of(store.root, project.root) | _now(project))


def prunable(project: Project) -> Sequence[str]:
    """Views of this project's old targets that no other project has, as paths under the home."""
    store = wire.store_of(project)
    old = views_of(store.root, project.root) - _now(project)
    return sorted(old - views_of_others(store.root, project.root))


def prune(project: Project) -> Sequence[str]:
    """Removes those views, and nothing of the store; gives their paths."""
    store = wire.store_of(project)
    gone = [view for view in prunable(project) if wire.views_of(project).remove(view)]
    keep_views(store.root, project.root, _now(project))
    return gone


def _now(project: Project) -> frozenset[str]:
    paths = [
        project.views.path(name, rung.format)
        for name, goal in project.plan.goals.items()
        for rung in goal.rungs()
    ]
    return frozenset(path.relative_to(wire.home()).as_posix() for path in paths)
