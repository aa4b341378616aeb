"""Every tool is described truthfully, and a change of one is acknowledged."""

from __future__ import annotations

import ast
import hashlib
import json
import pkgutil
from pathlib import Path

import pytest
from workspace import ROOT

import cortexbuild.tools
from cortexbuild.core.ports import Tool
from cortexbuild.core.step import Kind
from cortexbuild.errors import UsageError
from cortexbuild.tools import find_tool

FOLDER = Path(cortexbuild.tools.__file__).parent
NAMES = sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]))
REVISIONS = ROOT / "tests" / "tools" / "revisions.json"


def tools() -> list[Tool]:
    return [tool for name in NAMES for tool in cortexbuild.tools._tools(name)]


@pytest.mark.parametrize("tool", tools(), ids=lambda t: f"{t.name}-{t.kind.value}-{t.accepts[0]}")
def test_a_tool_can_be_found_by_what_it_says_of_itself(tool):
    for format_ in tool.accepts:
        assert find_tool(tool.name, tool.kind, format_) is tool
    assert tool.revision >= 1 and tool.makes
    if not any(field.is_required() for field in tool.params.model_fields.values()):
        defaults = tool.params()
        assert tool.params.from_plain(defaults.plain()) == defaults
    assert tool.params.__doc__


def test_no_two_tools_do_the_same_under_one_name():
    seen = [(tool.name, tool.kind, format_) for tool in tools() for format_ in tool.accepts]
    assert len(seen) == len(set(seen))


def test_an_unknown_tool_or_kind_is_an_error_with_a_hint():
    with pytest.raises(UsageError) as caught:
        find_tool("mxl", Kind.CONVERT, "safetensors")
    assert caught.value.hint == "did you mean `mlx`?"
    with pytest.raises(UsageError, match="`mlx` cannot validate"):
        find_tool("mlx", Kind.VALIDATE, "mlx")


def source_digest(name: str) -> str:
    """A tool's code without its comments, docstrings and layout."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            body[0] = ast.Pass()
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def test_a_changed_tool_is_acknowledged():
    """Does it make other bytes now? Then raise its `revision`. Then run this file as a script."""
    known = json.loads(REVISIONS.read_text())
    assert {name: source_digest(name) for name in NAMES} == known


if __name__ == "__main__":
    REVISIONS.write_text(json.dumps({name: source_digest(name) for name in NAMES}, indent=1) + "\n")
