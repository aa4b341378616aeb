"""`import`: models that are written down for another program, taken into cortex.yaml."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ...app.relock import pin_now
from ...core.lock import Pinned
from ...core.manifest import Manifest
from ...core.naming import unlike
from ...errors import CortexError, UsageError
from ...sources._found import Found, ollama_homes
from ...sources._found.ollama import find_ollama
from .. import hardware, wire
from ..adding import entry_of, recipe_for
from ..beside import parse_manifest
from ..drafts import lock_draft
from ..imports import KINDS, Carried, Desk, Entry, Left, read_foreign
from ..recipes import Recipes
from ..starter import starter
from ..yaml.editing import add_entry
from ..yaml.reading import read_bytes
from .command import Command, add_json, open_store, print_json, print_rows, root_of


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE",
        help="a Modelfile, LM Studio's model.yaml, a compose file, a Kitfile, Cortex's config.yaml",
    )  # fmt: skip
    parser.add_argument("--as", dest="kind", metavar="KIND", default="", help=", ".join(KINDS))
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be")
    parser.add_argument(
        "--no-lock", action="store_true", help="only write it down: nothing is asked or pinned"
    )
    add_json(parser)


def _import(args: argparse.Namespace) -> int:
    if not args.file.exists():
        raise UsageError(f"{args.file} does not exist", hint="a path counts from where you are")
    root = root_of(args)
    desk = Desk(str(args.file), args.file.absolute().parent, root, _find)
    carried = read_foreign(read_bytes(args.file, str(args.file)), desk, args.kind)
    here = hardware.look()
    usual = hardware.usual_recipes(here)
    before = None
    draft = starter(here, usual[0], [], active=True).encode()
    if args.manifest.exists():
        before = draft = read_bytes(args.manifest, str(args.manifest))
    manifest = parse_manifest(draft, args.manifest)
    carried = _named(carried, manifest)
    pinned: list[Pinned] = []
    if not (args.dry_run or args.no_lock):
        carried, pinned = _pinned(carried, root, usual)
    for entry in carried.entries:
        draft = _with(draft, args, entry, usual[0])
    if carried.policy:
        draft = add_entry(draft, str(args.manifest), (), ("policy", dict(carried.policy)))
    if not args.dry_run and (carried.entries or carried.policy):
        lock_draft(args.manifest, before, draft, pinned, lock=not args.no_lock)
    return _say(args, carried)


def _find(said: str) -> Found | None:
    homes = ollama_homes(Path.home(), os.environ)
    return next((found for home in homes if (found := find_ollama(home, said))), None)


def _named(carried: Carried, manifest: Manifest) -> Carried:
    """With names that are not taken, and without what the manifest says itself."""
    taken, entries = set(manifest.models), []
    for entry in carried.entries:
        entries.append(replace(entry, name=unlike(entry.name, taken)))
        taken.add(entries[-1].name)
    left, policy = carried.left, carried.policy
    if policy and "policy" in manifest.text.data:
        where = manifest.place("policy")
        left += tuple(Left(where, key, "cortex.yaml has a `policy:` of its own") for key in policy)
        policy = {}
    return Carried(tuple(entries), left, policy)


def _pinned(carried: Carried, root: Path, usual: Sequence[str]) -> tuple[Carried, list[Pinned]]:
    """With a recipe for each, that suits what it is; the rest is left, with why."""
    ask, recipes, toolbox = wire.sources_of(root, open_store()), Recipes(root), wire.toolbox()
    entries, left, pinned = [], list(carried.left), []
    for entry in carried.entries:
        try:
            pins = [pin_now(origin, ask) for origin in (entry.source, *entry.adapters)]
            recipe = entry.recipe or recipe_for(pins[0], recipes, usual, toolbox)
        except CortexError as error:
            left.append(Left(entry.source, entry.name, str(error)))
            continue
        entries.append(replace(entry, recipe=recipe))
        pinned += pins
    return replace(carried, entries=tuple(entries), left=tuple(left)), pinned


def _with(draft: bytes, args: argparse.Namespace, entry: Entry, usual: str) -> bytes:
    said = entry_of(entry.source, [entry.recipe or usual])
    if entry.adapters:
        said = {"source": said["source"], "adapters": list(entry.adapters), **said}
    notes = (*entry.notes, f"from {args.file}")
    return add_entry(draft, str(args.manifest), ("models",), (entry.name, said), notes)


def _say(args: argparse.Namespace, carried: Carried) -> int:
    if args.json:
        fields = {
            "models": [asdict(entry) for entry in carried.entries],
            "policy": dict(carried.policy),
            "left": [asdict(one) for one in carried.left],
        }
        print_json("import/1", fields)
        return 0
    rows = [("carried over", entry.name, entry.source) for entry in carried.entries]
    rows += [("carried over", f"policy.{k}", str(v).lower()) for k, v in carried.policy.items()]
    print_rows(rows)
    for one in carried.left:
        print(f"left out  {one.place}  {one.what}: {one.why}")
    done = "would be in" if args.dry_run else "is in"
    if carried.entries:
        print(f"what was carried over {done} {args.manifest}", file=sys.stderr)
    return 0


COMMANDS = (Command("import", "take models from a file of another program", _arguments, _import),)
