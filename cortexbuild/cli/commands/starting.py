"""`init`: begin a manifest, with what is on this machine already."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...core.naming import name_of
from ...errors import UsageError
from ...sources._found import Found, found_models
from .. import wire, words
from ..adding import entry_of, origin_of
from ..drafts import keep_draft
from ..hardware import look, usual_recipes
from ..starter import Offer, ignore, offers, starter
from ..yaml.editing import add_entry
from .command import ADD_ONE, Command, add_json, print_json, root_of


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
    root = root_of(args)
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
    """Of what is here, what suits it; of the rest, what suits this machine. Raises UsageError for
    what is here and of no use."""
    place = root / Path(origin.removeprefix("path:")).expanduser()
    said = Found("", name_of(origin), place, origin)
    if not place.exists():
        return said.name, entry_of(origin, usual[:1])
    (offer,) = offers([said], root, usual, wire.toolbox())
    if not offer.recipe:
        raise UsageError(
            f"nothing can be built of {origin}: {offer.problem}",
            hint="`cortexbuild init` without it begins a cortex.yaml all the same",
        )
    return said.name, entry_of(origin, [offer.recipe])


def _plain(found: Found) -> dict[str, object]:
    return {**asdict(found), "place": str(found.place)}


def _next(args: argparse.Namespace, found: Sequence[Offer]) -> str:
    if args.source or (args.all and any(one.recipe for one in found)):
        return "`cortexbuild sync` builds what it says"
    return ADD_ONE if not found else "take the `# ` away from what you want in it, and sync"


COMMANDS = (Command("init", "write a cortex.yaml to start from", _init_arguments, _init),)
