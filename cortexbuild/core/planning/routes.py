"""By which tools a source becomes what a recipe starts from, and which of its steps are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from ...errors import UsageError
from ..ports import Tool, Toolbox
from ..recipe import Recipe, RecipeStep
from ..step import Kind
from .bridges import PUBLISHED_IN_8_BITS, Leg, bridge, is_quantized, takes
from .sides import Side, sides_of


@dataclass(frozen=True, slots=True)
class Route:
    """`note` says what a person should know of it, such as that nothing is lost.

    `sides` are by role, each after those that it needs itself.
    """

    legs: Sequence[Leg]
    note: str = ""
    sides: Mapping[str, Side] = field(default_factory=dict)

    def tools(self) -> Iterator[Tool]:
        """Every tool of the route, and of what is beside it."""
        yield from (leg.tool for leg in self.legs)
        for side in self.sides.values():
            yield from (leg.tool for leg in side.bridge)
            yield side.tool


def find_route(
    recipe: Recipe, format_: str, toolbox: Toolbox, *, settings: Mapping[str, Any], merge: int = 0
) -> Route:
    """How a source of `format_` goes through a recipe.

    `settings` are what the target sets itself, and `merge` is its number of adapters. Raises
    UsageError where there is no way, with the reason.
    """
    route = _main_route(recipe, format_, toolbox, settings, merge)
    return replace(route, sides=sides_of(route.legs, format_, toolbox))


def _main_route(
    recipe: Recipe, format_: str, toolbox: Toolbox, settings: Mapping[str, Any], merge: int
) -> Route:
    quantizing = any(item.do == "quantize" for item in recipe.steps)
    if not merge and (kept := _kept(recipe, format_, toolbox, settings)) is not None:
        return kept
    if is_quantized(format_) and quantizing:
        raise UsageError(
            f"the source is quantized already ({format_}), and to quantize it again would lose "
            "more than it says",
            hint="build from the full-precision weights that it was made from",
        )
    start = ("safetensors",) if merge else _start(recipe, format_, toolbox)
    legs = bridge(format_, start, toolbox)
    here = legs[-1].tool.makes if legs else format_
    if merge:
        legs.append(Leg(toolbox.find("lora", Kind.CONVERT, here)))
    legs += _recipe_legs(recipe, here, toolbox)
    return Route(legs, _note(format_))


def _note(format_: str) -> str:
    if is_quantized(format_):
        return f"16-bit weights with the loss of the source's quantization ({format_})"
    if format_ == PUBLISHED_IN_8_BITS:
        return "from 8-bit floats: if the model was published in 16 bits too, build from those"
    return ""


def _kept(
    recipe: Recipe, format_: str, toolbox: Toolbox, settings: Mapping[str, Any]
) -> Route | None:
    """The way on which the source's very weights are kept, if the recipe knows one."""
    for edge in recipe.lossless:
        if not fnmatchcase(format_, edge.source):
            continue
        legs = [Leg(toolbox.find(edge.tool, Kind.CONVERT, format_))] if edge.tool else []
        here = legs[-1].tool.makes if legs else format_
        checks = [(n, item) for n, item in enumerate(recipe.steps) if item.do == "validate"]
        for number, item in checks:
            legs.append(_leg(item, number, here, toolbox))
        known = {name for leg in legs for name in leg.tool.params.model_fields}
        if set(settings) <= known:
            how = "lossless: the weights of the source as they are"
            return Route(legs, f"{how}, repacked" if edge.tool else how)
    return None


def _start(recipe: Recipe, format_: str, toolbox: Toolbox) -> Sequence[str]:
    if recipe.accepts:
        return recipe.accepts
    first = recipe.steps[0]
    return toolbox.find(first.tool, Kind(first.do), format_).accepts


def _recipe_legs(recipe: Recipe, here: str, toolbox: Toolbox) -> list[Leg]:

    legs = []
    for number, item in enumerate(recipe.steps):
        leg = _leg(item, number, here, toolbox)
        legs.append(leg)
        if leg.tool.kind is not Kind.VALIDATE:
            here = leg.tool.makes
    return legs


def _leg(item: RecipeStep, number: int, here: str, toolbox: Toolbox) -> Leg:
    kind = Kind(item.do)
    tool = toolbox.find(item.tool, kind, here)
    if not takes(tool, here):
        raise UsageError(
            f"`{item.tool}` cannot {kind.value} {here}, only {' or '.join(tool.accepts)}",
            hint="choose a recipe that begins with this format: `cortexbuild recipes`",
        )
    return Leg(tool, item.set, number)
