"""What is measured beside a route, for those of its tools that go by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..ports import Tool, Toolbox
from ..roles import ADAPTERS, GIVEN
from ..step import Kind
from .bridges import Leg, bridge, takes


@dataclass(frozen=True, slots=True)
class Side:
    """A tool beside the route, that measures what a leg goes by.

    It looks at the model after so many legs (`at`), brought to it by a `bridge` of its own.
    """

    tool: Tool
    at: int
    bridge: Sequence[Leg] = ()


def sides_of(legs: Sequence[Leg], format_: str, toolbox: Toolbox) -> Mapping[str, Side]:
    """By role, each after those that it needs itself."""
    sides: dict[str, Side] = {}
    for at, leg in enumerate(legs):
        _add_sides(leg.tool, legs[:at], format_, toolbox, sides)
    return sides


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
    merged, and as early as it can. Another looks at what the leg that wants it is given, or at
    the last thing before that it can look at. `legs` are those before that leg."""
    places = [(0, format_)]
    for number, leg in enumerate(legs):
        if leg.tool.kind is not Kind.VALIDATE:
            places.append((number + 1, leg.tool.makes))
    merged = next((n for n, leg in enumerate(legs) if ADAPTERS in leg.tool.wants), None)
    tool = toolbox.find(role, Kind.MEASURE, format_)
    if ADAPTERS in tool.wants:
        places = [place for place in places if place[0] == (merged or 0)]
    for at, here in reversed(places):
        tool = toolbox.find(role, Kind.MEASURE, here)
        if takes(tool, here):
            return Side(tool, at)
    at, here = places[0]
    return Side(tool, at, bridge(here, tool.accepts, toolbox))
