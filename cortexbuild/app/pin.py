"""Find out what every name of a manifest stands for now: sources' contents, tools' versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.lock import Lock
from ..core.manifest import Manifest, Recipe
from ..core.plan import FindTool, tools_of
from ..core.ports import Looks, Source
from ..core.step import ToolId
from ..errors import ManifestError, UsageError


def pin(
    manifest: Manifest,
    recipes: Mapping[str, Recipe],
    find_source: Callable[[str], Source],
    find_tool: FindTool,
    looks: Looks,
    root: Path,
) -> Lock:
    """Reads metadata and small files only; `looks` remembers the rest."""
    places = {manifest.evaluation: manifest.place("evaluation")}
    for name, model in manifest.models.items():
        places.setdefault(model.source, manifest.place("models", name, "source"))
    sources = {}
    for origin, where in places.items():
        try:
            sources[origin] = find_source(origin).pin(origin, root, looks)
        except UsageError as error:
            raise ManifestError(str(error), where=where, hint=error.hint) from error
    formats = {origin: pinned.format for origin, pinned in sources.items()}
    tools = {
        name: ToolId(tool.name, tool.revision, dict(tool.engine()))
        for name, tool in tools_of(manifest, recipes, formats, find_tool).items()
    }
    return Lock(sources, tools)
