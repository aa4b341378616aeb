"""`outdated`: what has moved on since it was locked."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from ...app.outdated import EVALUATION, Standing, newer_tools, standings
from ...app.relock import NOTHING
from ...core.lock import Lock
from ...core.lockchanges import changes
from ...core.step import ToolId
from .. import wire, words
from ..beside import read_lock, read_manifest
from ..machine import memory
from ..recipes import Recipes
from .command import Command, add_json, open_store, print_json, print_rows, root_of


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--exit-code", action="store_true", help="exit 3 if something has moved")
    add_json(parser)


def _outdated(args: argparse.Namespace) -> int:
    manifest = read_manifest(args.manifest)
    root = root_of(args)
    lock = read_lock(root) or NOTHING
    found = list(standings(manifest, lock, wire.sources_of(root, open_store())))
    tools = newer_tools(manifest, lock, Recipes(root), wire.toolbox(), memory())
    moved = [one for one in found if one.has_moved]
    if args.json:
        rows = [_plain(one) for one in found]
        versions = {
            name: {"locked": was.plain(), "here": here.plain()}
            for name, (was, here) in tools.items()
        }
        print_json("outdated/1", {"sources": rows, "tools": versions})
    else:
        print_rows([_row(one) for one in found if one.has_moved or one.locked is None])
        for change in changes(*_locks(tools)):
            print(f"{change.name}  {change.what}")
        _say_next(found, moved, tools)
    problems = [one.problem for one in found if one.problem]
    for problem in problems[1:]:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise problems[0]
    return 3 if args.exit_code and (moved or tools) else 0


def _row(one: Standing) -> tuple[str, ...]:
    names = ", ".join(one.models)
    if one.locked is None:
        return names, one.origin, "is not in cortex.lock", ""
    assert one.newest is not None, "it has moved"
    was, now = (
        f"{pin.commit[:12] or pin.tree.digest[:12]}{f' ({date})' if date else ''}"
        for pin, date in zip((one.locked, one.newest), one.dates, strict=True)
    )
    count = words.count(len(one.files), "file")
    return names, one.origin, f"{was} -> {now}", f"{count}, {words.size(one.size)} to fetch"


def _say_next(found: Sequence[Standing], moved: Sequence[Standing], tools: object) -> None:
    followed = words.count(len(found), "source")
    print(f"{followed} by branch or tag, {len(moved)} moved", file=sys.stderr)
    if moved:
        names = list(dict.fromkeys(name for one in moved for name in one.models))
        which = "" if EVALUATION in names else f" {' '.join(names)}"  # that is no model's
        print(f"`cortexbuild lock --upgrade{which}` takes what is there now", file=sys.stderr)
    if tools:
        print("`cortexbuild lock --upgrade-tools` takes the tools that are here", file=sys.stderr)


def _locks(tools: Mapping[str, tuple[ToolId, ToolId]]) -> tuple[Lock, Lock]:
    was = {name: both[0] for name, both in tools.items()}
    return Lock({}, was), Lock({}, {name: both[1] for name, both in tools.items()})


def _plain(one: Standing) -> dict[str, object]:
    return {
        "origin": one.origin,
        "models": list(one.models),
        "moved": one.has_moved,
        "locked": _pin(one, 0),
        "newest": _pin(one, 1),
        "files": list(one.files),
        "bytes": one.size,
        "problem": str(one.problem) if one.problem else None,
    }


def _pin(one: Standing, number: int) -> dict[str, object] | None:
    pin = (one.locked, one.newest)[number]
    if pin is None:
        return None
    return {"commit": pin.commit or None, "date": one.dates[number] or None, "size": pin.tree.size}


COMMANDS = (
    Command("outdated", "which pins have moved on; changes nothing", _arguments, _outdated),
)
