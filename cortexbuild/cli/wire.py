"""Choose the real parts. The only module that knows every other."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import Literal

from ..app.project import Project
from ..app.relock import NOTHING, Pins, Sources, relock
from ..core.agenda import Ready
from ..core.digest import Digest, Plain, Tree
from ..core.events import Event
from ..core.lock import Lock
from ..core.lockfile import lock_from_text, lock_to_text
from ..core.manifest import Manifest, Recipe
from ..core.planner import make_plan
from ..core.ports import Job, Toolbox
from ..core.step import StepId, StepKey
from ..errors import LockError
from ..exec.local import LocalExecutor
from ..runtimes import find_runtime
from ..sources import find_source
from ..store.disk import replace_text
from ..store.hashing import sums_of
from ..store.index import Index
from ..store.local import LocalStore
from ..store.scratch import sweep
from ..store.views import HomeViews
from ..tools import find_edges, find_tool
from ..version import VERSION
from .yamlfile import read_yaml

VIEW_FOLDERS = {"mlx": "mlx_models", "gguf": "gguf_models", "safetensors": "safetensors_models"}
"""Under CORTEX_HOME, by format; INT8 and INT4 PyTorch models go where Cortex keeps its own."""
KEPT_RUNS = 50
LOCK = "cortex.lock"

PINS = Pins()


def home() -> Path:
    """Where everything is kept: CORTEX_HOME, or ~/.cortex."""
    chosen = os.environ.get("CORTEX_HOME")
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cortex"


def open_store() -> LocalStore:
    return LocalStore(home() / "build" / "v1")


def open_project(manifest_path: Path, store: LocalStore, pins: Pins = PINS) -> Project:
    """Read the manifest and the lock, pin what is missing, and make the plan.

    No engine is loaded, and nothing is written.
    """
    root = manifest_path.absolute().parent
    manifest = Manifest.parse(read_yaml(manifest_path, str(manifest_path)))
    recipes = Recipes(root)
    toolbox = Toolbox(find_tool, find_edges)
    known = read_lock(root)
    if pins.frozen and known is None:
        raise LockError("there is no cortex.lock", hint="`cortexbuild lock` makes it")
    lock = known or NOTHING
    if not pins.frozen:
        ask = Sources(find_source, IndexedLooks(store.index), root)
        lock = relock(lock, manifest, recipes, ask, toolbox, memory(), pins)
    return Project(
        root=root,
        manifest=manifest,
        recipes=recipes,
        lock=lock,
        locked=known,
        plan=make_plan(manifest, recipes, lock, toolbox, memory=memory()),
        store=store,
        views=HomeViews(
            home(), store, lambda format_: VIEW_FOLDERS.get(format_, "quantized_models")
        ),
        find_runtime=find_runtime,
        find_step_tool=lambda step: find_tool(step.tool.name, step.kind, step.format),
        last=read_last(root),
    )


def read_lock(root: Path) -> Lock | None:
    try:
        text = (root / LOCK).read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(f"{LOCK} cannot be read: {error}") from error
    return lock_from_text(text, LOCK)


def write_lock(root: Path, lock: Lock) -> None:
    replace_text(root / LOCK, lock_to_text(lock))


class Recipes(Mapping[str, Recipe]):
    """The project's own recipes, then ours. A file is read when its recipe is asked for."""

    def __init__(self, root: Path) -> None:
        package = Path(__file__).parent.parent
        shipped = package / "_recipes"
        if not shipped.is_dir():  # a checkout, not an installed wheel
            shipped = package.parent / "recipes"
        self._files = {path.stem: path for path in sorted(shipped.glob("*.yaml"))}
        self._files |= {path.stem: path for path in sorted((root / "recipes").glob("*.yaml"))}
        self._read: dict[str, Recipe] = {}

    def __getitem__(self, name: str) -> Recipe:
        if name not in self._read:
            path = self._files[name]
            self._read[name] = Recipe.parse(read_yaml(path, f"recipes/{path.name}"))
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


class IndexedLooks:
    """Looks at files by way of the index: what did not change is not read again."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def sum_of(self, path: Path) -> tuple[Digest, int]:
        stat = path.stat()
        name = str(path.resolve())
        seen = f"{stat.st_size},{stat.st_mtime_ns},{stat.st_ctime_ns},{stat.st_ino}"
        known = self._index.file(name, seen)
        if known is None:
            sums = sums_of(path)
            known = sums.sha256, sums.size
            changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
            self._index.keep_file(name, seen, changed, *known)
        return known

    def facts_of(self, place: Path, tree: Tree) -> Mapping[str, Plain]:
        name = f"facts/{VERSION}/{tree.digest}"
        known = self._index.note(name)
        if known is None:
            from ..formats.detection import detect

            known = json.dumps({**detect(place).to_plain(), "name": ""})
            self._index.keep_note(name, known)
        facts: Mapping[str, Plain] = json.loads(known)
        return facts


def memory() -> int:
    """This machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def open_executor(jobs: int, tell: Callable[[Event], None]) -> LocalExecutor:
    return LocalExecutor(jobs, tell)


def new_run(store: LocalStore) -> Path:
    """A folder for the logs of this run; old ones go, and so does what killed runs left."""
    sweep(store.root)
    runs = sorted((store.root / "runs").iterdir())
    for old in runs[: max(0, len(runs) - KEPT_RUNS + 1)]:
        for path in old.iterdir():
            path.unlink(missing_ok=True)
        old.rmdir()
    folder = store.root / "runs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    folder.mkdir()
    return folder


def end_run(store: LocalStore, run: Path) -> None:
    """Sweep what killed children left; a run in which nothing ran leaves no folder."""
    sweep(store.root)
    if not any(run.iterdir()):
        run.rmdir()


def store_of(project: Project) -> LocalStore:
    assert isinstance(project.store, LocalStore), "projects are opened here, with this store"
    return project.store


def job_of(
    store: LocalStore, root: Path, run: Path, patience: float | None,
    forced: Set[StepId], again: Literal["compare", "replace"], ready: Ready,
) -> Job:  # fmt: skip
    log = run / (ready.step.label.replace("/", "-").replace(":", "--") + ".log")
    return Job(
        ready.id, ready.key, ready.step, ready.ingredients, ready.inputs,
        str(store.root), str(root), str(log), patience, again if ready.id in forced else "no",
    )  # fmt: skip


def read_last(root: Path) -> Mapping[str, StepKey]:
    """Under which key each step was last made for this project. For `why`; may be lost."""
    try:
        found = json.loads((root / ".cortex" / "last.json").read_text())
        return {str(label): StepKey(str(key)) for label, key in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def keep_last(root: Path, keys: Mapping[str, StepKey]) -> None:
    merged = {**read_last(root), **keys}
    if merged == read_last(root):
        return
    try:
        replace_text(root / ".cortex" / "last.json", json.dumps(merged, indent=1, sort_keys=True))
        replace_text(root / ".cortex" / ".gitignore", "*\n")
    except OSError:
        return  # a checkout that cannot be written to: only `why` knows less
