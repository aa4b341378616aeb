"""Choose the real parts of a project: its store, its sources, its tools, what runs its steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..app.project import Project
from ..app.relock import NOTHING, Pins, Sources, relock
from ..core.events import Event
from ..core.lock import Pinned
from ..core.needs import Capacity
from ..core.planning.planner import make_plan
from ..core.ports import Job, Pull, Toolbox
from ..core.scheduling.agenda import Ready
from ..core.step import StepId
from ..errors import LockError
from ..exec.local import LocalExecutor
from ..remotes.tiers import Tiers
from ..runtimes import find_runtime
from ..sources import find_source
from ..store import drafts
from ..store.local import LocalStore
from ..store.views import HomeViews
from ..tools import find_edges, find_tool
from . import home as places
from .beside import KEPT, LOCK, MANIFEST, parse_manifest, read_last, read_lock, read_manifest
from .logs import log_name
from .looks import IndexedLooks
from .machine import children, memory
from .recipes import Recipes

VIEW_FOLDERS = {"mlx": "mlx_models", "gguf": "gguf_models", "safetensors": "safetensors_models"}
"""Under CORTEX_HOME, by format; INT8 and INT4 PyTorch models go where Cortex keeps its own."""

PINS = Pins()


def home() -> Path:
    return Path(places.home())


def open_store() -> LocalStore:
    return LocalStore(Path(places.store()))


def open_views(store: LocalStore) -> HomeViews:
    return HomeViews(home(), store, lambda format_: VIEW_FOLDERS.get(format_, "quantized_models"))


def open_project(
    manifest_path: Path,
    store: LocalStore,
    pins: Pins = PINS,
    draft: bytes | None = None,
    pinned: Sequence[Pinned] = (),
) -> Project:
    """Read the manifest and the lock, pin what is missing, and make the plan. A `draft` is read
    in the place of the manifest, and what was `pinned` already is not looked at again.

    No engine is loaded, and nothing is written.
    """
    root = manifest_path.absolute().parent
    if draft is None:
        manifest = read_manifest(manifest_path)
    else:
        manifest = parse_manifest(draft, manifest_path)
    recipes = Recipes(root)
    tools = toolbox()
    known = read_lock(root)
    if pins.frozen and known is None:
        raise LockError("there is no cortex.lock", hint="`cortexbuild lock` makes it")
    lock = known or NOTHING
    if not pins.frozen:
        ask = sources_of(root, store)
        seen = {one.origin: one for one in pinned}
        lock = relock(
            replace(lock, sources={**lock.sources, **seen}),
            manifest,
            recipes,
            ask,
            tools,
            memory(),
            pins,
        )
    return Project(
        root=root,
        manifest=manifest,
        recipes=recipes,
        lock=lock,
        locked=known,
        plan=make_plan(manifest, recipes, lock, tools, memory=memory()),
        store=store,
        views=open_views(store),
        find_runtime=find_runtime,
        find_step_tool=lambda step: find_tool(step.tool.name, step.kind, step.format),
        last=read_last(root),
    )


def sources_of(root: Path, store: LocalStore) -> Sources:
    return Sources(find_source, IndexedLooks(store.index), root)


def toolbox() -> Toolbox:
    return Toolbox(find_tool, find_edges)


def open_executor(room: Capacity, tell: Callable[[Event], None]) -> LocalExecutor:
    return LocalExecutor(room.jobs + room.net, children(room), tell)


def sweep_drafts(project: Project) -> None:
    """Remove what killed processes were about to put beside what they had put before."""
    store = store_of(project).root
    for folder in (store, store / "roots", project.root / KEPT):
        drafts.sweep_drafts(folder)
    for name in (LOCK, MANIFEST):  # what else lies there is a person's
        drafts.sweep_drafts(project.root, name)
    views_of(project).sweep()


def store_of(project: Project) -> LocalStore:
    assert isinstance(project.store, LocalStore), "projects are opened here, with this store"
    return project.store


def views_of(project: Project) -> HomeViews:
    assert isinstance(project.views, HomeViews), "projects are opened here, with these views"
    return project.views


def job_of(
    project: Project, run: Path, patience: float | None, forced: Set[StepId],
    again: Literal["compare", "replace"], ready: Ready,
) -> Job:  # fmt: skip
    log = run / log_name(ready.step.label)
    pull = None
    if ready.pull is not None:
        assert isinstance(project.shared, Tiers), "what can be pulled was found in a remote"
        trace = project.find_trace(ready.key, ready.ingredients)
        pull = Pull(ready.pull, trace, project.shared.addresses())
    return Job(
        ready.id, ready.key, ready.step, ready.ingredients, ready.inputs,
        str(store_of(project).root), str(project.root), str(log), patience,
        again if ready.id in forced else "no", pull,
    )  # fmt: skip
