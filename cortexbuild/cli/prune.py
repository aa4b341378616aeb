"""What the store knows of a project, and `sync --prune`: take away the views of targets that the
manifest has no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..app.project import Project
from ..core.step import StepKey
from ..store.roots import keep_root, root_of, today, views_of_others
from . import wire


def note_root(project: Project, keys: Mapping[str, StepKey]) -> None:
    """Remember what this project counts on; `keys` are those of the steps a sync has made, and
    there are none before it begins.

    Views of old targets stay its own until pruned. Where nothing changed, this is written once a
    day, and so is that its targets are in use.
    """
    store = wire.store_of(project)
    before = root_of(store.root, project.root)
    ends = _ends(project, {**project.last, **keys}) if keys else before.keys
    sources = {pinned.tree.digest for pinned in project.lock.sources.values()}
    root = replace(
        before, project=project.root, views=before.views | _now(project), keys=ends,
        sources=frozenset(sources), seen=today(),
    )  # fmt: skip
    if keep_root(store.root, root):
        for trace in filter(None, map(store.read_trace, sorted(ends))):
            store.note_use(trace.tree)


def prunable(project: Project) -> Sequence[str]:
    """Views of this project's old targets that no other project has, as paths under the home."""
    store = wire.store_of(project)
    old = root_of(store.root, project.root).views - _now(project)
    return sorted(old - views_of_others(store.root, project.root))


def prune(project: Project) -> Sequence[str]:
    """Removes those views, and nothing of the store; gives their paths."""
    store = wire.store_of(project)
    gone = [view for view in prunable(project) if wire.views_of(project).remove(view)]
    keep_root(store.root, replace(root_of(store.root, project.root), views=_now(project)))
    return gone


def _ends(project: Project, known: Mapping[str, StepKey]) -> frozenset[StepKey]:
    """The steps that all targets come to, whichever of its ways a target has taken."""
    plan = project.plan
    goals = [rung for goal in plan.goals.values() for rung in goal.rungs()]
    labels = {plan.steps[id_].label for goal in goals for id_ in goal.ends}
    return frozenset(known[label] for label in labels if label in known)


def _now(project: Project) -> frozenset[str]:
    paths = [
        project.views.path(name, rung.format)
        for name, goal in project.plan.goals.items()
        for rung in goal.rungs()
    ]
    return frozenset(path.relative_to(wire.home()).as_posix() for path in paths)
