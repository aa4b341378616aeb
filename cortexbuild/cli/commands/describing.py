"""`recipes`, `schema`, `completion`: what can be written, for people, editors and shells."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from ...core.document import did_you_mean
from ...core.manifest import Manifest
from ...errors import UsageError
from ..completion import SHELLS, shell_code
from ..recipes import Recipes
from .command import Command, add_json, print_json, print_rows, root_of

CHOSEN = (
    ("auto", "the MLX recipe that fits the model's size (policy: in cortex.yaml)"),
    ("auto-int", "16 bits, INT8 or INT4 for PyTorch, by the memory there is"),
)
"""Names that stand for a recipe, with what decides which."""


def _recipes(args: argparse.Namespace) -> int:
    known = Recipes(root_of(args))
    rows = [(name, recipe.summary) for name, recipe in known.items()]
    rows += CHOSEN
    if args.json:
        listed = [{"recipe": name, "summary": summary} for name, summary in rows]
        print_json("recipes/1", {"recipes": listed})
    else:
        print_rows(rows)
    return 0


def schema_text() -> str:
    """The JSON Schema of cortex.yaml, as it stands in docs/reference/."""
    schema = Manifest.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return _as_text(schema)


def _as_text(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _schema_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "document", nargs="?", metavar="DOCUMENT",
        help="of what commands print with --json, such as `plan/1`; without it, of cortex.yaml",
    )  # fmt: skip


def _schema(args: argparse.Namespace) -> int:
    sys.stdout.write(_schema_text_of(args.document) if args.document else schema_text())
    return 0


def _schema_text_of(name: str) -> str:
    from ..documents import DOCUMENTS, schema_of

    if name not in DOCUMENTS:
        these = f"these: {', '.join(DOCUMENTS)}"
        raise UsageError(
            f"there is no document `{name}`", hint=did_you_mean(name, list(DOCUMENTS), these)
        )
    return _as_text(schema_of(name))


def _completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS)


def _completion(args: argparse.Namespace) -> int:
    print(shell_code(args.shell))
    return 0


COMMANDS = (
    Command("recipes", "every recipe, with a line about it", add_json, _recipes),
    Command("schema", "print the JSON Schema of cortex.yaml", _schema_arguments, _schema),
    Command(
        "completion",
        "print what lets a shell complete commands and targets",
        _completion_arguments,
        _completion,
    ),
)
