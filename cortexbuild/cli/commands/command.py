"""What a command is, and what several of them share."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...app.generate import Built
from ...app.project import Project
from ...app.relock import Pins
from ...core.amount import in_bytes
from ...core.plan import Scope
from ...core.step import Kind
from .. import wire
from ..beside import read_manifest
from ..jsontext import print_json as print_json
from ..sharing import Sharing
from ..wire import open_store as open_store

ADD_ONE = "`cortexbuild add hf:org/name` adds one"


@dataclass(frozen=True, slots=True)
class Command:
    """One with `parts` is only a name for them: `cache` for `cache ls` and `cache gc`."""

    name: str
    summary: str
    arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None
    run: Callable[[argparse.Namespace], int] = lambda _: 2
    parts: tuple[Command, ...] = ()


def root_of(args: argparse.Namespace) -> Path:
    """The folder of the manifest, which is that of the project."""
    root: Path = args.manifest.absolute().parent
    return root


def open_project(args: argparse.Namespace) -> Project:
    frozen, locked = getattr(args, "frozen", False), getattr(args, "locked", False)
    pins = Pins(frozen=frozen, may_ask=not locked)
    project = wire.open_project(args.manifest, wire.open_store(), pins)
    if not project.manifest.models:
        print(f"note: {args.manifest} has no models yet; {ADD_ONE}", file=sys.stderr)
    return project


def trusted_by(manifest: Path) -> tuple[str, ...]:
    """The public keys that a manifest lists, if there is one: keys are for all projects."""
    if not manifest.exists():
        return ()
    return read_manifest(manifest).trust


def warn_if_stale(built: Built) -> None:
    if built.stale:
        said = f"{built.target} is not up to date; `cortexbuild sync` makes it so"
        print(f"warning: {said}", file=sys.stderr)


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """Columns, as wide as they need to be."""
    if not rows:
        return
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def a_count(text: str) -> int:
    """What an option says that counts."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number from 1")
    return int(text)


def a_size(text: str) -> int:
    """What an option says that is in bytes."""
    try:
        return int(in_bytes(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError("a size is written like `200GB` or `200GiB`") from error


def a_time(text: str) -> float:
    """What an option says that is a time to wait."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise argparse.ArgumentTypeError("a number of seconds from 0")
    return found


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def add_waiting(parser: argparse.ArgumentParser) -> None:
    waiting = parser.add_mutually_exclusive_group()
    waiting.add_argument(
        "--lock-timeout", type=a_time, metavar="SEC", help="how long to wait for another process"
    )
    waiting.add_argument(
        "--no-wait", dest="lock_timeout", action="store_const", const=0.0, help="not at all"
    )


def add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--progress", choices=("auto", "tty", "plain", "json", "none"), default="auto",
        help="how to show it; json is one event a line on stderr",
    )  # fmt: skip


def add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="`model:target`")


def add_targets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help="`model`, `model:target`, with * and ?"
    )


def add_pins(parser: argparse.ArgumentParser) -> None:
    pins = parser.add_mutually_exclusive_group()
    pins.add_argument("--locked", action="store_true", help="exit 3 if cortex.lock would change")
    pins.add_argument(
        "--frozen", action="store_true", help="use cortex.lock without looking whether it is right"
    )


def add_scope(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--until", choices=[kind.value for kind in Kind], metavar="KIND",
        help=f"go no further than this kind of step: {', '.join(Kind)}",
    )  # fmt: skip
    parser.add_argument(
        "--force", nargs="?", const="*", default="", metavar="STEP",
        help="run steps again though they are fresh: all, or those of a name, a kind or a target; "
        "what comes out is compared with what was kept",
    )  # fmt: skip


def add_sharing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cache", default="", metavar="WHAT",
        help="what to read and write: `remote:r` (the default), `remote:rw`, `remote:off`, or a "
        "remote's name; several with commas; also CORTEX_CACHE",
    )  # fmt: skip
    parser.add_argument(
        "--require-remote", action="store_true",
        help="fail with 5 where a remote cannot be used, and build nothing instead",
    )  # fmt: skip
    add_key(parser)


def add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key", default="", metavar="NAME", help="what to sign with; also CORTEX_SIGNING_KEY"
    )


def sharing_of(args: argparse.Namespace) -> Sharing:
    return Sharing(args.cache, args.require_remote, args.key)


def scope_of(args: argparse.Namespace, project: Project) -> Scope:
    until = Kind(args.until) if args.until else None
    return project.plan.scope(args.targets, until, args.force)
