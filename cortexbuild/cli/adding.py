"""A model that comes into cortex.yaml: what its source is, and what to build it into."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..core.document import Text
from ..core.lock import Pinned
from ..core.manifest import Manifest
from ..core.planning.bridges import planned_format
from ..core.planning.resolve import route_of
from ..core.ports import Toolbox
from ..core.recipe import Recipe
from ..errors import UsageError
from ..sources import source_schemes

HUB = ("huggingface.co", "hf.co", "www.huggingface.co")


def origin_of(said: str, root: Path, revision: str = "") -> str:
    """The source that a person means: as a manifest writes it, a path from here, or a page of the
    Hub. `root` is the folder of the manifest."""
    scheme, colon, _ = said.partition(":")
    if colon and urlsplit(said).hostname in HUB:
        origin = _of_page(said)
    elif colon and (scheme in source_schemes() or not Path(said).exists()):
        origin = said
    elif Path(said).expanduser().exists():
        origin = f"path:{path_from(Path(said).expanduser(), root)}"
    else:
        hub = re.fullmatch(r"[\w.-]+/[\w.-]+", said)
        raise UsageError(
            f"`{said}` is no source: there is no such file or folder",
            hint=f"on the Hub it would be `hf:{said}`" if hub
            else "write `hf:org/name`, `path:folder` or `https://host/model.gguf#sha256=…`",
        )  # fmt: skip
    return _at(origin, revision) if revision else origin


def path_from(path: Path, root: Path) -> str:
    """A path as it stands in a manifest: from its folder where it is below that, else from the
    user's own, since others have another."""
    whole = path.absolute()
    for folder, mark in ((root.absolute(), ""), (Path.home(), "~/")):
        if whole.is_relative_to(folder):
            return mark + whole.relative_to(folder).as_posix()
    return whole.as_posix()


def _of_page(url: str) -> str:
    """`https://huggingface.co/org/name/blob/main/x.gguf` is `hf:org/name@main/x.gguf`."""
    parts = [part for part in urlsplit(url).path.split("/") if part]
    if len(parts) < 2:
        raise UsageError(f"`{url}` is no model's page", hint="one ends with `/org/name`")
    repo, rest = "/".join(parts[:2]), parts[2:]
    if len(rest) > 1 and rest[0] in ("tree", "blob", "resolve"):
        repo += f"@{rest[1]}" + "".join(f"/{part}" for part in rest[2:])
    return f"hf:{repo}"


def _at(origin: str, revision: str) -> str:
    found = re.fullmatch(r"(hf:[^/@]+/[^/@]+)(@[^/]+)?(/.+)?", origin)
    if found is None or found[2]:
        raise UsageError(
            f"`--revision` cannot be said of `{origin}`",
            hint="only a repository of the Hub has revisions, and one of them"
            if found is None else "it has one already",
        )  # fmt: skip
    return f"{found[1]}@{revision}{found[3] or ''}"


def recipe_for(
    pinned: Pinned, recipes: Mapping[str, Recipe], usual: Sequence[str], toolbox: Toolbox,
    *, allow_code: bool = False,
) -> str:  # fmt: skip
    """The first of the usual recipes that this model can go through, with the code that it brings
    or without; or one that keeps it as it is, where it is quantized already. Raises what stands
    against the first where none can."""
    refused: UsageError | None = None
    for recipe in (*usual, planned_format(pinned.facts)):
        if recipe not in recipes:
            continue
        said = entry_of(pinned.origin, [recipe], allow_code=allow_code)
        entry = {"schema": 1, "models": {"it": said}}
        alone = Manifest.parse(Text("cortex.yaml", entry))
        target = alone.models["it"].targets[recipe]
        try:
            route_of(alone, recipes, f"it:{recipe}", target, pinned, toolbox)
        except UsageError as error:
            why = str(error).partition(f"it:{recipe}: ")[2] or str(error)  # nobody wrote that place
            refused = refused or UsageError(why, hint=error.hint)
        else:
            return recipe
    assert refused is not None, "the usual recipes ship with cortexbuild"
    raise refused


def entry_of(origin: str, targets: Sequence[str], *, allow_code: bool = False) -> dict[str, Any]:
    leave = {"allow_code": True} if allow_code else {}
    return {"source": origin, **leave, "targets": list(targets)}
