"""Which recipe a target is built by, and on which route: what its names and its source say."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from ...errors import ManifestError, UsageError
from ..document import did_you_mean
from ..lock import Pinned
from ..manifest import Manifest, Target
from ..ports import Tool, Toolbox
from ..recipe import Recipe
from ..roles import CALIBRATION, TEXT
from ..step import Kind
from .bridges import planned_format
from .candidates import candidates, path_of
from .codeallowed import check_needed
from .policy import INTEGER_RECIPES
from .routes import Route, find_route

LENGTHS = frozenset(("tokens", "window"))


def tool_name(tool: Tool) -> str:
    """The name under which the lock keeps a tool's version."""
    return f"{tool.name}/{tool.kind.value}/{tool.accepts[0]}"


def tools_of(
    manifest: Manifest,
    recipes: Mapping[str, Recipe],
    sources: Mapping[str, Pinned],
    toolbox: Toolbox,
    *,
    memory: int = 0,
) -> Mapping[str, Tool]:
    """The tools that the manifest's targets go through, by the name the lock uses."""
    found: dict[str, Tool] = {}
    for name, model, target in manifest.targets():
        pinned = sources[model.source]
        format_ = planned_format(pinned.facts)
        tools = [toolbox.find("detect", Kind.DETECT, format_)]
        chosen = [each.target for each in candidates(manifest, name, target, pinned, memory)]
        for candidate in chosen:
            route = route_of(manifest, recipes, name, candidate, pinned, toolbox)
            tools += route.tools()
        if target.recipe == "auto-int":  # another machine, with other memory, takes another
            others = [target.model_copy(update={"recipe": recipe}) for recipe in INTEGER_RECIPES]
            for other in others:
                with suppress(UsageError):
                    route = route_of(manifest, recipes, name, other, pinned, toolbox)
                    tools += route.tools()
        found.update((tool_name(tool), tool) for tool in tools)
    return found


def recipe_of(
    manifest: Manifest, recipes: Mapping[str, Recipe], name: str, target: Target
) -> Recipe:
    recipe = recipes.get(target.recipe)
    if recipe is None:
        raise ManifestError(
            f"no recipe `{target.recipe}`",
            where=manifest.place(*path_of(name), "recipe"),
            hint=did_you_mean(
                target.recipe, list(recipes), "`cortexbuild recipes` lists the known ones"
            ),
        )
    return recipe


def route_of(
    manifest: Manifest,
    recipes: Mapping[str, Recipe],
    name: str,
    target: Target,
    pinned: Pinned,
    toolbox: Toolbox,
) -> Route:
    """The steps of one target. Raises ManifestError where there is no way to build it."""
    format_ = planned_format(pinned.facts)
    recipe = recipe_of(manifest, recipes, name, target)
    for number, item in enumerate(recipe.steps):
        try:
            toolbox.find(item.tool, Kind(item.do), format_)
        except UsageError as error:
            where = recipe.place("steps", number, "tool")
            raise ManifestError(str(error), where=where, hint=error.hint) from error
    merge = len(manifest.models[name.partition(":")[0]].adapters)
    try:
        route = find_route(recipe, format_, toolbox, settings=target.set, merge=merge)
        for tool in route.tools():
            tool.check(pinned.facts)
    except UsageError as error:
        where = manifest.place(*path_of(name))
        raise ManifestError(f"{name}: {error}", where=where, hint=error.hint) from error
    check_needed(manifest, name, pinned, route.tools())
    _check_settings(target, route, manifest, name)
    return route


def settable(tool: Tool) -> frozenset[str]:
    """The settings that a target may have for a tool: how much of a text it looks at is said where
    the text is."""
    reads = {TEXT, CALIBRATION} & set(tool.wants)
    return frozenset(tool.params.model_fields) - (LENGTHS if reads else frozenset())


def _check_settings(target: Target, route: Route, manifest: Manifest, name: str) -> None:
    tools = [leg.tool for leg in route.legs if leg.number is not None]
    known = sorted({key for tool in tools for key in settable(tool)})
    if target.fit is not None and "memory" not in known:
        raise ManifestError(
            f"recipe `{target.recipe}` has its bits, and chooses none by a budget",
            where=manifest.place(*path_of(name), "fit"),
            hint="recipes that do are `mlx-fit` and `gguf-fit`",
        )
    said = {*target.set, *(name for leg in route.legs for name in leg.settings)}
    if {"memory", "bits", "kv"} <= set(known) and not said & {"memory", "bits"}:
        raise ManifestError(
            f"recipe `{target.recipe}` chooses its bits by a budget, and there is none",
            where=manifest.place(*path_of(name)),
            hint="add one, such as `fit: {memory: 8GiB}` or `fit: {bits: 4.5}`",
        )
    for setting in target.set:
        if setting not in known:
            raise ManifestError(
                f"no step of recipe `{target.recipe}` has a setting `{setting}`",
                where=manifest.place(*path_of(name), "set", setting),
                hint=did_you_mean(setting, known, f"it has {', '.join(known)}"),
            )
