"""`verify` and `provenance`: whether stored bytes are right, and where they come from."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial

from ...app.provenance import statement
from ...app.verify import verify
from ...core.digest import Digest
from ...errors import IntegrityError, ToolError
from ...store.hashing import sums_of
from ...store.local import LocalStore
from ...store.storelock import store_lock
from .. import words
from ..rebuilding import rebuild_target
from ..screen import screen
from .command import Command, add_json, add_target, open_project, open_store, print_json


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rebuild", metavar="TARGET", help="build it a second time, and compare every byte"
    )
    add_json(parser)


def _verify(args: argparse.Namespace) -> int:
    return _rebuild(args) if args.rebuild else verify_store(args)


def verify_store(args: argparse.Namespace) -> int:
    """Read every file of this machine's store."""
    store = open_store()
    with store_lock(store.root, "verify", partial(print, file=sys.stderr)):
        count, damaged = verify(store, partial(_sum_of, store), lambda _done, _total: None)
    if args.json:
        listed = [{"sha256": one.digest, "used": list(one.used)} for one in damaged]
        print_json("verify/1", {"files": count, "damaged": listed})
    for one in damaged:
        print(f"damaged: {one.digest}  {', '.join(one.used) or 'used by nothing'}", file=sys.stderr)
    if damaged:
        raise IntegrityError(
            f"{words.count(len(damaged), 'file')} of {count} damaged and set aside",
            hint="run `cortexbuild sync`: what is missing is made again",
        )
    if not args.json:
        print(f"{words.count(count, 'file')} as they should be", file=sys.stderr)
    return 0


def _sum_of(store: LocalStore, digest: Digest) -> Digest | None:
    try:
        return sums_of(store.blob(digest)).sha256
    except FileNotFoundError:
        return None


def _rebuild(args: argparse.Namespace) -> int:
    project = open_project(args)
    with screen("none" if args.json else "auto") as shown:
        found = rebuild_target(project, args.rebuild, shown.emit)
    if args.json:
        listed = [
            {"step": one.label, "differ": list(one.differ), "promised": one.promised}
            for one in found
        ]
        print_json("rebuild/1", {"steps": listed})
    for one in found if not args.json else ():
        said = f"differs in {', '.join(one.differ)}" if one.differ else "the same, byte for byte"
        note = " (its tool does not promise the same)" if one.differ and not one.promised else ""
        print(f"{one.label}  {said}{note}")
    wrong = [one.label for one in found if one.differ and one.promised]
    if wrong:
        raise IntegrityError(
            f"made again, other bytes came out of {', '.join(wrong)}",
            hint="something decides the output that is not in its key; please report it",
        )
    return 0


def _provenance_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("--json", action="store_true", help="it is JSON in any case")


def _provenance(args: argparse.Namespace) -> int:
    project = open_project(args)
    for target in project.plan.select([args.target]):
        found = statement(project, target)
        if found is None:
            raise ToolError(f"{target} is not built", hint=f"run `cortexbuild sync {target}`")
        json.dump(found, sys.stdout, indent=1)
        sys.stdout.write("\n")
    return 0


COMMANDS = (
    Command("verify", "read every stored file again", _verify_arguments, _verify),
    Command("provenance", "where a built target comes from (in-toto)", _provenance_arguments,
            _provenance),
)  # fmt: skip
