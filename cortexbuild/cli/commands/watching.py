"""`watch`: build again what changes, as it changes."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

from ...errors import CortexError
from .. import words
from ..beside import LOCK
from ..complaint import tell
from ..watching import look, rounds
from .command import Command, a_time, add_json, add_targets, print_json, root_of


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    parser.add_argument(
        "--settle", type=a_time, default=1.0, metavar="SEC",
        help="for how long nothing may change before it is built (default: 1)",
    )  # fmt: skip
    add_json(parser)


def _watch(args: argparse.Namespace) -> int:
    """Ends only by an interrupt."""
    lock = root_of(args) / LOCK
    for seen in rounds(partial(look, args.manifest), lock, args.settle):
        at, built = time.strftime("%H:%M:%S"), _sync(args.manifest, args.targets) == 0
        if args.json:
            print_json("watch/1", {"at": at, "ok": built, "files": len(seen)})
        else:
            done = "up to date" if built else "failed"
            print(f"{at}  {done}; watching {words.count(len(seen), 'file')}")
        sys.stdout.flush()
    return 0


def _sync(manifest: Path, targets: list[str]) -> int:
    """One `sync`, as if it were typed. What goes wrong is said, and does not end the watching."""
    from ..parser import parse

    args = parse(["sync", "--manifest", str(manifest), "--", *targets])
    try:
        return int(args.run(args))
    except CortexError as error:
        return tell(error)


COMMANDS = (Command("watch", "build again what changes, as it changes", _arguments, _watch),)
