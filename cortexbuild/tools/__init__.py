"""Find a tool by name. A module in this folder, or an entry point, is all it takes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points

from ..core.document import did_you_mean
from ..core.planning.bridges import takes
from ..core.ports import Tool
from ..core.step import Kind
from ..errors import UsageError

GROUP = "cortexbuild.tools.v1"


def find_tool(name: str, kind: Kind, format_: str) -> Tool:
    """The tool called `name` that does `kind` to `format_`; with no such format, any of it."""
    found = [tool for tool in _tools(name) if tool.kind is kind]
    if not found:
        raise UsageError(
            f"tool `{name}` cannot {kind.value}",
            hint="see what each recipe does: `cortexbuild recipes`",
        )
    return next((tool for tool in found if takes(tool, format_)), found[0])


def find_edges() -> tuple[Tool, ...]:
    """The conversions that a plan may put in by itself."""
    return tuple(tool for name in _modules() for tool in _tools(name) if tool.bridge)


def every_tool() -> Iterator[Tool]:
    """Those that are installed, of ours and of others."""
    names = {name.replace("_", "-") for name in _modules()}
    for name in sorted(names | {point.name for point in entry_points(group=GROUP)}):
        yield from _tools(name)


@cache
def _tools(name: str) -> tuple[Tool, ...]:
    modules = _modules()
    if (module := name.replace("-", "_")) in modules:
        return tuple(importlib.import_module(f"{__name__}.{module}").TOOLS)
    for point in entry_points(group=GROUP, name=name):
        return tuple(point.load().TOOLS)
    known = [*modules, *(point.name for point in entry_points(group=GROUP))]
    hint = did_you_mean(name, known, f"the tools are {', '.join(known)}")
    raise UsageError(f"no tool `{name}`", hint=hint)


def _modules() -> list[str]:
    """The names of those in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
