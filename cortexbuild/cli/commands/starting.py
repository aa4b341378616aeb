"""`recipes`, `init`, `schema`, `completion`: begin a manifest, and help an editor with it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...core.manifest import Manifest
from ...core.naming import name_of
from ...errors import UsageError
from ...sources._found import Found, found_models
from .. import wire, words
from ..adding import entry_of, origin_of
from ..completion import SHELLS, shell_code
from ..drafts import keep_draft
from ..hardware import look, usual_recipes
from ..recipes import Recipes
from ..starter import Offer, ignore, offers, starter
from ..yamledit import add_entry
from .command import ADD_ONE, Command, add_json, print_json, print_rows

CHOSEN = (
    ("auto", "the MLX recipe that fits the model's size (policy: in cortex.yaml)"),
    ("auto-int", "16 bits, INT8 or INT4 for PyTorch, by the memory there is"),
)
"""Names that stand for a recipe, with what decides which."""


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", nargs="?", default="", help="begin with this model: `hf:org/name`, a folder, …"
    )
    parser.add_argument(
        "--all", action="store_true", help="have every model that is found, not as comments"
    )
    add_json(parser)


def _init(args: argparse.Namespace) -> int:
    if args.manifest.exists():
        raise UsageError(
            f"{args.manifest} exists already",
            hint="`cortexbuild add SOURCE` adds to it; or give another `-m`",
        )
    root = args.manifest.absolute().parent
    here = look()
    usual = usual_recipes(here)
    models = found_models(wire.home(), Path.home(), os.environ)
    found = list(offers(models, root, usual, wire.toolbox()))
    text = starter(here, usual[0], [] if args.source else found, active=args.all)
    draft = text.encode()
    if args.source:
        entry = _entry(origin_of(args.source, root), root, usual)
        draft = add_entry(draft, str(args.manifest), ("models",), entry)
    keep_draft(args.manifest, None, draft)
    ignored = ignore(root, ".cortex/")
    if args.json:
        rows = [{**asdict(one), "found": _plain(one.found)} for one in found]
        fields = {"manifest": str(args.manifest), "machine": asdict(here), "models": rows}
        print_json("init/1", fields)
        return 0
    for one in found:
        size = words.size(one.size) if one.recipe else f"no use: {one.problem}"
        print(f"found  {one.found.where}  {one.found.name}  {size}")
    if ignored:
        print(f".cortex/ is in {ignored.name} now", file=sys.stderr)
    print(f"wrote {args.manifest}; {_next(args, found)}", file=sys.stderr)
    return 0


def _entry(origin: str, root: Path, usual: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Of what is here, what suits it; of the rest, what suits this machine."""
    place = root / Path(origin.removeprefix("path:")).expanduser()
    said = Found("", name_of(origin), place, origin)
    (offer,) = offers([said], root, usual, wire.toolbox())
    return said.name, entry_of(origin, [offer.recipe or usual[0]])


def _plain(found: Found) -> dict[str, object]:
    return {**asdict(found), "place": str(found.place)}


def _next(args: argparse.Namespace, found: Sequence[Offer]) -> str:
    if args.source or (args.all and any(one.recipe for one in found)):
        return "`cortexbuild sync` builds what it says"
    return ADD_ONE if not found else "take the `# ` away from what you want in it, and sync"


def schema_text() -> str:
    """The JSON Schema of cortex.yaml, as it stands in docs/reference/."""
    schema = Manifest.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return as_text(schema)


def as_text(schema: Mapping[str, Any]) -> str:
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
        raise UsageError(f"there is no document `{name}`", hint=f"these: {', '.join(DOCUMENTS)}")
    return as_text(schema_of(name))


def _completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS)


def _completion(args: argparse.Namespace) -> int:
    print(shell_code(args.shell))
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
    Command("schema", "print the JSON Schema of cortex.yaml", _schema_arguments, _schema),
    Command(
        "completion",
        "print what lets a shell complete commands and targets",
        _completion_arguments,
        _completion,
    ),
)
