"""Which recipe a target is built by, and on which route: what its names and its source say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..errors import ManifestError, UsageError
from .bridges import planned_format
from .digest import Plain, Tree
from .document import Path, did_you_mean
from .limits import Limits
from .lock import Pinned
from .manifest import Manifest, Target
from .policy import INTEGER_RECIPES, choose_integer, choose_mlx
from .ports import Tool, Toolbox
from .recipe import Recipe
from .roles import CALIBRATION, TEXT
from .routes import Route, find_route
from .step import Kind

BUDGETED = "mlx-fit"
"""What `auto` stands for where a target has a budget."""

LENGTHS = frozenset(("tokens", "window"))

WEIGHT_FILES = (".safetensors", ".bin", ".pth", ".gguf", ".npz")


def weight_bytes(tree: Tree) -> int:
    """Of the files of a model that are its weights."""
    return sum(file.size for file in tree.files if file.path.endswith(WEIGHT_FILES))


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
            route = route_of(manifest, recipes, name, candidate, pinned.facts, toolbox)
            tools += route.tools()
        if target.recipe == "auto-int":  # another machine, with other memory, takes another
            others = [target.model_copy(update={"recipe": recipe}) for recipe in INTEGER_RECIPES]
            for other in others:
                with suppress(UsageError):
                    route = route_of(manifest, recipes, name, other, pinned.facts, toolbox)
                    tools += route.tools()
        found.update((tool_name(tool), tool) for tool in tools)
    return found


def path_of(name: str) -> Path:
    model, _, target = name.partition(":")
    return ("models", model, "targets", target)


def recipe_of(
    manifest: Manifest, recipes: Mapping[str, Recipe], name: str, target: Target
) -> Recipe:
    recipe = recipes.get(target.recipe)
    if recipe is None:
        raise ManifestError(
            f"no recipe `{target.recipe}`",
            where=manifest.place(*path_of(name), "recipe"),
            hint=did_you_mean(target.recipe, list(recipes), "`recipes/` has the known ones"),
        )
    return recipe


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target with the recipe that it is to be built by, and `why` that one."""

    target: Target
    why: str = ""


def candidates(
    manifest: Manifest, name: str, target: Target, pinned: Pinned, memory: int
) -> Sequence[Candidate]:
    """What `auto`, `auto-int` or a ladder stands for: what to build, and what instead if that is
    no good."""
    if target.escalate:
        return _rungs(manifest, name, target)
    if target.fit is not None:
        recipe = BUDGETED if target.recipe in ("", "auto") else target.recipe
        settings = {**target.fit.model_dump(exclude_none=True), **target.set}
        return [Candidate(target.model_copy(update={"recipe": recipe, "set": settings}))]
    if target.recipe not in ("auto", "auto-int"):
        return [Candidate(target)]
    counted = pinned.facts.get("parameters")
    parameters = counted if isinstance(counted, int) else None
    policy = manifest.policy
    try:
        if target.recipe == "auto":
            model = name.partition(":")[0]
            choice = choose_mlx(parameters, model, policy.quantization, None, policy.optimization)
        else:
            available = manifest.resources.memory or memory
            weights = weight_bytes(pinned.tree)
            choice = choose_integer(weights, available, parameters, policy.auto_quantize)
    except UsageError as error:
        where = manifest.place(*path_of(name))
        raise ManifestError(f"{name}: {error}", where=where, hint=error.hint) from error
    why = f"{target.recipe} chose {choice.recipe}: {choice.reason}"
    found = [Candidate(target.model_copy(update={"recipe": choice.recipe}), why)]
    if choice.rule == "int4":  # as Cortex does
        instead = target.model_copy(update={"recipe": "int8"})
        found.append(Candidate(instead, f"{target.recipe} fell back to int8: int4 was no good"))
    return found


def limits_of(manifest: Manifest, target: Target) -> Limits:
    """A target's limits, and those for all where it has none of its own."""
    return target.limits.over(manifest.limits)


def _rungs(manifest: Manifest, name: str, target: Target) -> Sequence[Candidate]:
    if limits_of(manifest, target) == Limits():
        raise ManifestError(
            f"{name}: `escalate:` needs limits, and there are none",
            where=manifest.place(*path_of(name), "escalate"),
            hint="say when a model is good enough, such as `validate: {max_kl: 0.02}`",
        )
    names = ", then ".join(target.escalate)
    return [
        Candidate(target.model_copy(update={"recipe": recipe}), f"tries {names}")
        for recipe in target.escalate
    ]


def route_of(
    manifest: Manifest,
    recipes: Mapping[str, Recipe],
    name: str,
    target: Target,
    facts: Mapping[str, Plain],
    toolbox: Toolbox,
) -> Route:
    """The steps of one target. Raises ManifestError where there is no way to build it."""
    format_ = planned_format(facts)
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
            tool.check(facts)
    except UsageError as error:
        where = manifest.place(*path_of(name))
        raise ManifestError(f"{name}: {error}", where=where, hint=error.hint) from error
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
    for setting in target.set:
        if setting not in known:
            raise ManifestError(
                f"no step of recipe `{target.recipe}` has a setting `{setting}`",
                where=manifest.place(*path_of(name), "set", setting),
                hint=did_you_mean(setting, known, f"it has {', '.join(known)}"),
            )
