"""Which pins a source or a tool has moved on from. Asks, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..core.lock import Lock, Pinned
from ..core.lockchanges import changes
from ..core.manifest import Manifest
from ..core.planning.resolve import tools_of
from ..core.ports import Toolbox
from ..core.recipe import Recipe
from ..core.step import ToolId
from ..errors import CortexError
from .relock import Sources, pin_now, places

EVALUATION = "evaluation"
"""Who uses the text that models are tried on."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A source whose name may come to stand for something else: what is `locked` of it, and what
    it is now. `dates` are those of both, and `files` a line for each that differs; `size` is what
    would have to be fetched. A `problem` is why it could not be asked."""

    origin: str
    models: tuple[str, ...]
    locked: Pinned | None
    newest: Pinned | None = None
    dates: tuple[str, str] = ("", "")
    files: tuple[str, ...] = ()
    size: int = 0
    problem: CortexError | None = None

    @property
    def has_moved(self) -> bool:
        if self.locked is None or self.newest is None:
            return False
        return (self.locked.commit, self.locked.whole) != (self.newest.commit, self.newest.whole)


def standings(manifest: Manifest, lock: Lock, ask: Sources) -> Iterator[Standing]:
    """One for each source that is named by a branch, a tag or something like it."""
    for origin in places(manifest):
        source = ask.find(origin)
        if source.local or not source.floats(origin):
            continue
        models, locked = _users(manifest, origin), lock.sources.get(origin)
        try:
            newest = pin_now(origin, ask)
            dates = ("", "")
            if locked is not None and locked.commit != newest.commit:
                dates = source.dated(locked), source.dated(newest)
        except CortexError as error:
            yield Standing(origin, models, locked, problem=error)
            continue
        had = {file.digest for file in locked.tree.files} if locked else set()
        size = sum(file.size for file in newest.tree.files if file.digest not in had)
        before = {origin: locked} if locked else {}
        found = changes(Lock(before, {}), Lock({origin: newest}, {}))
        lines = tuple(line for change in found for line in change.files)
        yield Standing(origin, models, locked, newest, dates, lines, size)


def newer_tools(
    manifest: Manifest, lock: Lock, recipes: Mapping[str, Recipe], toolbox: Toolbox, memory: int
) -> Mapping[str, tuple[ToolId, ToolId]]:
    """The tools whose versions here are not those of the lock, with both; of a whole lock only."""
    if not places(manifest).keys() <= lock.sources.keys():
        return {}
    moved = {}
    used = tools_of(manifest, recipes, lock.sources, toolbox, memory=memory)
    for name, tool in used.items():
        locked = lock.tools.get(name)
        here = ToolId(tool.name, tool.revision, dict(tool.engine()))
        if locked is not None and locked != here:
            moved[name] = (locked, here)
    return moved


def _users(manifest: Manifest, origin: str) -> tuple[str, ...]:
    found = [name for name, model in manifest.models.items() if origin in model.origins()]
    return tuple(found) or (EVALUATION,)
