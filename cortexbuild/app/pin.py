"""Find out what every name of a manifest stands for now: sources' contents, tools' versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.lock import Lock
from ..core.manifest import Manifest, Recipe
from ..core.planner import LLAMA_CPP, TOOLCHAIN
from ..core.ports import Looks, Source, Toolbox
from ..core.resolve import tools_of
from ..core.step import ToolId
from ..errors import ManifestError, UsageError


def pin(
    manifest: Manifest,
    recipes: Mapping[str, Recipe],
    find_source: Callable[[str], Source],
    toolbox: Toolbox,
    looks: Looks,
    root: Path,
    memory: int,
) -> Lock:
    """Reads metadata and small files only; `looks` remembers the rest."""
    places = {manifest.evaluation: manifest.place("evaluation")}
    for name, model in manifest.models.items():
        places.setdefault(model.source, manifest.place("models", name, "source"))
        for number, adapter in enumerate(model.adapters):
            at = ("models", name, "adapters", number)
            places.setdefault(adapter.source, manifest.place(*at))
    sources = {}
    for origin, where in places.items():
        try:
            sources[origin] = find_source(origin).pin(origin, root, looks)
        except UsageError as error:
            raise ManifestError(str(error), where=where, hint=error.hint) from error
    used = tools_of(manifest, recipes, sources, toolbox, memory=memory)
    if any(TOOLCHAIN in tool.wants for tool in used.values()):
        sources[LLAMA_CPP] = find_source(LLAMA_CPP).pin(LLAMA_CPP, root, looks)
    tools = {
        name: ToolId(tool.name, tool.revision, dict(tool.engine())) for name, tool in used.items()
    }
    return Lock(sources, tools)
