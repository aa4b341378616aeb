"""Every shipped recipe parses; its tools exist, follow each other and take its settings."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cortexbuild.cli.recipes import Recipes
from cortexbuild.core.step import Kind
from cortexbuild.tools import find_tool

ROOT = Path(__file__).parent.parent
RECIPES = Recipes(Path("/nonexistent"))


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_can_be_built(name):
    recipe = RECIPES[name]
    assert recipe.summary
    format_ = "safetensors"
    for step in recipe.steps:
        tool = find_tool(step.tool, Kind(step.do), format_)
        assert format_ in tool.accepts
        tool.params.model_validate(dict(step.set))
        if step.do != "validate":
            format_ = tool.makes
    assert recipe.steps[-1].do == "validate"


def test_no_two_recipes_say_the_same():
    said = [(RECIPES[name].steps, RECIPES[name].summary) for name in RECIPES]
    assert len({str(one) for one in said}) == len(said)


def test_the_recipes_are_in_the_wheel():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"recipes": "cortexbuild/_recipes"}
