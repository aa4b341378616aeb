"""Write down what a sync with nothing to do rests on (`seal.py` says what for)."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..app.project import Project
from ..app.sync import Outcome
from ..sources import find_source
from ..store import disk
from ..store.roots import root_of
from ..store.views import beside
from . import home, wire
from .beside import KEPT, LAST, LOCK, MANIFEST, RUN
from .recipes import RECIPES, Recipes
from .seal import circumstances, folder_of, look, write_whole

OURS = __name__.partition(".")[0]
AT_REST = 2_000_000_000
"""ns before a sync in which a file must not have changed: one that did may do so again within a
tick of the clock of its file system, and have the same stat."""


@dataclass(frozen=True, slots=True)
class Began:
    """When a sync began, in ns, and under which circumstances: both may be others at its end."""

    at: int
    under: str

    @classmethod
    def now(cls) -> Began:
        return cls(time.time_ns(), circumstances())


def seal(project: Project, outcome: Outcome, began: Began, summary: str) -> None:
    """Seal that a sync of the whole project, which `began` then, found nothing to do.

    Where something changed shortly before or meanwhile, there is no seal, and a later sync makes
    one.
    """
    if any(goal.otherwise is not None for goal in project.plan.goals.values()):
        return  # the lock will say which it came to
    with suppress(OSError):  # without one, the next sync looks at everything: nothing is lost
        looks = _looks(project, outcome, began.at)
        if looks is not None:
            folder = Path(folder_of(home.store(), str(project.root)))
            disk.remove(folder)  # what was said under an older one
            write_whole(str(folder / "seal"), "\n".join([began.under, summary, *looks]))


def _looks(project: Project, outcome: Outcome, began: int) -> list[str] | None:
    """How everything is that the answer rests on; None if not all of it is there and at rest."""
    recipes = str(project.root / RECIPES)  # alone may be absent
    seen = {recipes: look(recipes)}
    for path in map(str, _rests_on(project, outcome)):
        if path not in seen:
            seen[path] = look(path)
        # In this order: what changes between the two looks is young then.
        if "\n" in path or Path(path).stat().st_ctime_ns >= began - AT_REST:
            return None
    return [f"{how} {path}" for path, how in seen.items()]


def _rests_on(project: Project, outcome: Outcome) -> Iterator[Path | str]:
    """Every file and folder that a sync of all targets looks at. All of them are there."""
    yield from (project.root / name for name in (MANIFEST, LOCK))
    yield from (project.root / KEPT / name for name in (LAST, RUN))
    yield from _program()
    assert isinstance(project.recipes, Recipes), "projects are opened here, with these"
    yield from project.recipes.places
    for origin in project.lock.sources:
        yield from find_source(origin).places(origin, project.root)
    store = wire.store_of(project)
    yield store.root / "roots" / f"{root_of(store.root, project.root).name}.json"
    yield from map(store.trace_path, outcome.keys.values())
    for one in outcome.targets:
        assert one.tree is not None, "what a sync was content with is made"
        yield from (one.path, beside(one.path))
        for folder, _, names in os.walk(store.tree_folder(one.tree)):
            yield folder
            yield from (Path(folder, name) for name in names)
        goal, steps = project.plan.goals[one.target], project.plan.steps
        traces = [store.read_trace(outcome.keys[steps[id_].label]) for id_ in goal.checks]
        trees = [one.tree, *(trace.tree for trace in traces if trace is not None)]
        trees += [tree for id_ in goal.notices if (tree := steps[id_].tree) is not None]
        for tree in trees:
            yield from (store.blob(file.digest) for file in tree.files)


def _program() -> Iterator[Path]:
    """What runs: every module, and the folders in which ours are found by the names of files."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None:
            yield Path(file)
            if name.partition(".")[0] == OURS:
                yield Path(file).parent
