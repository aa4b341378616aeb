"""Each test that a promise names is there, and asserts something."""

from __future__ import annotations

import ast
import re

from workspace import ROOT

PAGE = ROOT / "docs" / "concepts" / "what-is-promised.md"


def test_each_line_of_what_is_promised_names_a_test_that_is_there():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row != "| what | test |"]
    assert len(rows) > 25
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
        assert named, f"no test: {row}"
        for file, name in named:
            tree = ast.parse((ROOT / file).read_text())
            tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert not name or name in tests, f"{file} has no {name}"
