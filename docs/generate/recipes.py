"""The recipes that ship, with their steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby

from tables import ROOT

from cortexbuild.cli.commands.describing import CHOSEN
from cortexbuild.cli.recipes import Recipes
from cortexbuild.core.recipe import Recipe

INTRODUCTION = """\
# Recipes

What ships with cortexbuild. A recipe is a file of data in `recipes/`; a project's own folder of
that name comes first, and [a recipe of yours](../guides/write-a-recipe.md) is a file there. A
setting of any step can be changed by a target's `set:`; what settings a tool has is in
[the manifest](cortex-yaml.md#recipes).

*Kept* are formats of a source whose very weights the target can hold: they are repacked and not
quantized again.
"""
FAMILIES = {"gguf": "GGUF, for llama.cpp", "mlx": "MLX", "": "PyTorch, for transformers"}


def page() -> str:
    known = Recipes(ROOT / "docs")  # a folder without recipes of its own
    parts = [INTRODUCTION]
    family = sorted(known, key=lambda name: (list(FAMILIES).index(_family(name)), name))
    for kind, names in groupby(family, key=_family):
        parts += [f"## {FAMILIES[kind]}\n"]
        parts += [f"{_entry(name, known[name])}\n" for name in names]
    parts += ["## Chosen by the model\n", "| recipe | |", "|---|---|"]
    parts += [f"| `{name}` | {summary} |" for name, summary in CHOSEN]
    return "\n".join([*parts, ""])


def _family(name: str) -> str:
    first = name.partition("-")[0]
    return first if first in FAMILIES else ""


def _entry(name: str, recipe: Recipe) -> str:
    return "\n".join([f"### {name}\n", f"{recipe.summary}.\n", *_steps(recipe)])


def _steps(recipe: Recipe) -> Iterator[str]:
    for number, step in enumerate(recipe.steps, 1):
        settings = ", ".join(f"`{key}: {json.dumps(value)}`" for key, value in step.set.items())
        yield f"{number}. {step.do} with `{step.tool}`{': ' if settings else ''}{settings}"
    if kept := [f"`{edge.source}`" for edge in recipe.lossless]:
        yield f"\nKept: {', '.join(kept)}."
