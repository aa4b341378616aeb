"""By which tools a source becomes what a recipe starts from, and which of its steps are needed.

Formats in a plan are finer than Cortex's: what is quantized says so, since it may not be
quantized again. `gguf`, `mlx`, `safetensors` and `pytorch` hold 16 or 32 bits a weight;
`gguf-q4_k_m`, `mlx-4bit`, `gptq-4bit`, `awq-4bit` and `bnb-nf4` do not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from ..errors import UsageError
from .digest import Plain
from .ports import Tool, Toolbox
from .recipe import Recipe, RecipeStep
from .roles import ADAPTERS, GIVEN
from .step import Kind

FULL_GGUF = ("F32", "FP32", "F16", "FP16", "BF16")
"""llama.cpp's names of what is not quantized, and Cortex's."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One tool of a route. `number` is the recipe's step it comes from; None if we put it in."""

    tool: Tool
    settings: Mapping[str, Any] = field(default_factory=dict)
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """A tool beside the route, that measures what a leg goes by.

    It looks at the model after so many legs (`at`), brought to it by a `bridge` of its own.
    """

    tool: Tool
    at: int
    bridge: Sequence[Leg] = ()


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


def planned_format(facts: Mapping[str, Plain]) -> str:
    """The format in a plan of a source with these facts (`formats/facts.py`)."""
    format_, method = str(facts["format"]), facts.get("method")
    if format_ == "gguf":
        stored = str(facts.get("quantization") or "")
        return "gguf" if stored.upper() in FULL_GGUF + ("NONE",) else f"gguf-{stored.lower()}"
    if not isinstance(method, Mapping):
        return format_
    name = str(method["method"])
    if name.startswith("mlx"):
        bits = f"{method.get('bits')}bit" if name == "mlx" else name.removeprefix("mlx-")
        return f"mlx-{bits}"
    bits_known = f"-{method['bits']}bit" if method.get("bits") and "-" not in name else ""
    return f"{name}{bits_known}{'-act' if method.get('desc_act') else ''}"


def takes(tool: Tool, format_: str) -> bool:
    return any(fnmatchcase(format_, pattern) for pattern in tool.accepts)


def is_quantized(format_: str) -> bool:
    return "-" in format_ or format_ in ("fp8", "mxfp4", "compressed-tensors")


def find_route(
    recipe: Recipe, format_: str, toolbox: Toolbox, *, settings: Mapping[str, Any], merge: int = 0
) -> Route:
    """How a source of `format_` goes through a recipe.

    `settings` are what the target sets itself, and `merge` is its number of adapters. Raises
    UsageError where there is no way, with the reason.
    """
    route = _main_route(recipe, format_, toolbox, settings, merge)
    sides: dict[str, Side] = {}
    for leg in route.legs:
        _add_sides(leg.tool, route.legs, format_, toolbox, sides)
    return replace(route, sides=sides)


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
    legs = _bridge(format_, start, toolbox)
    here = legs[-1].tool.makes if legs else format_
    if merge:
        legs.append(Leg(toolbox.find("lora", Kind.CONVERT, here)))
    legs += _recipe_legs(recipe, here, toolbox)
    lost = is_quantized(format_)
    note = f"16-bit weights with the loss of the source's quantization ({format_})" if lost else ""
    return Route(legs, note)


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


def _bridge(format_: str, wanted: Sequence[str], toolbox: Toolbox) -> list[Leg]:
    """The fewest conversions from `format_` to a wanted one; none if it is one already."""
    ways: deque[tuple[str, list[Leg]]] = deque([(format_, [])])
    seen = {format_}
    while ways:
        here, legs = ways.popleft()
        if any(fnmatchcase(here, pattern) for pattern in wanted):
            return legs
        for tool in toolbox.edges():
            if takes(tool, here) and tool.makes not in seen:
                seen.add(tool.makes)
                ways.append((tool.makes, [*legs, Leg(tool)]))
    raise UsageError(
        f"there is no way from {format_} to {' or '.join(wanted)}",
        hint="`cortexbuild info` says what the source is",
    )


def _recipe_legs(recipe: Recipe, here: str, toolbox: Toolbox) -> list[Leg]:

    legs = []
    for number, item in enumerate(recipe.steps):
        leg = _leg(item, number, here, toolbox)
        legs.append(leg)
        if leg.tool.kind is not Kind.VALIDATE:
            here = leg.tool.makes
    return legs


def _add_sides(
    tool: Tool, legs: Sequence[Leg], format_: str, toolbox: Toolbox, sides: dict[str, Side]
) -> None:
    for role in tool.wants:
        if role not in GIVEN and role not in sides:
            side = _side(role, legs, format_, toolbox)
            _add_sides(side.tool, legs, format_, toolbox, sides)
            sides[role] = side


def _side(role: str, legs: Sequence[Leg], format_: str, toolbox: Toolbox) -> Side:
    """A tool that wants adapters applies them itself: it looks at the model before they are
    merged, and as early as it can. Another looks at what the recipe's own steps begin with."""
    places = [(0, format_)]
    for number, leg in enumerate(legs):
        if leg.number is not None:
            break
        places.append((number + 1, leg.tool.makes))
    merged = next((n for n, leg in enumerate(legs) if ADAPTERS in leg.tool.wants), None)
    tool = toolbox.find(role, Kind.MEASURE, format_)
    if ADAPTERS in tool.wants:
        places = places[:1] if merged is None else places[merged : merged + 1]
    for at, here in reversed(places):
        tool = toolbox.find(role, Kind.MEASURE, here)
        if takes(tool, here):
            return Side(tool, at)
    bridge = _bridge(places[0][1], tool.accepts, toolbox)
    return Side(tool, places[0][0], bridge)


def _leg(item: RecipeStep, number: int, here: str, toolbox: Toolbox) -> Leg:
    kind = Kind(item.do)
    tool = toolbox.find(item.tool, kind, here)
    if not takes(tool, here):
        raise UsageError(
            f"`{item.tool}` cannot {kind.value} {here}, only {' or '.join(tool.accepts)}"
        )
    return Leg(tool, item.set, number)
