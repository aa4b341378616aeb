"""`init` and `schema`: begin a manifest, and help an editor with it."""

from __future__ import annotations

import argparse
import json
import sys

from ...core.manifest import Manifest
from ...errors import UsageError
from ..recipes import Recipes
from .command import Command, add_json, print_json, print_rows

STARTER = """\
# The models this project wants, and what each is built into. Then: cortexbuild sync
schema: 1
models:
  my-model:
    source: path:{source} # a folder with config.json and *.safetensors
    targets: [mlx-4bit] # or mlx-8bit, mlx-bf16, …
"""
CHOSEN = (
    ("auto", "the MLX recipe that fits the model's size (policy: in cortex.yaml)"),
    ("auto-int", "16 bits, INT8 or INT4 for PyTorch, by the memory there is"),
)
"""Names that stand for a recipe, with what decides which."""


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", nargs="?", default="models/my-model", help="the folder of a model you have"
    )


def _init(args: argparse.Namespace) -> int:
    if args.manifest.exists():
        raise UsageError(f"{args.manifest} exists already", hint="edit it, or give another `-m`")
    args.manifest.write_text(STARTER.format(source=args.source))
    print(f"wrote {args.manifest}; edit it, then run `cortexbuild sync`", file=sys.stderr)
    return 0


def schema_text() -> str:
    """The JSON Schema of cortex.yaml, as it stands in docs/reference/."""
    schema = Manifest.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _schema(args: argparse.Namespace) -> int:
    del args
    sys.stdout.write(schema_text())
    return 0


def _recipes(args: argparse.Namespace) -> int:
    known = Recipes(args.manifest.absolute().parent)
    rows = [(name, recipe.summary) for name, recipe in known.items()]
    rows += CHOSEN
    if args.json:
        listed = [{"recipe": name, "summary": summary} for name, summary in rows]
        print_json("recipes/1", {"recipes": listed})
    else:
        print_rows(rows)
    return 0


COMMANDS = (
    Command("recipes", "every recipe, with a line about it", add_json, _recipes),
    Command("init", "write a cortex.yaml to start from", _init_arguments, _init),
    Command("schema", "print the JSON Schema of cortex.yaml", lambda _: None, _schema),
)
