"""`doctor`: what is wrong on this machine, and what puts it right."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ...errors import CortexError
from ...sources import is_offline
from .. import words
from ..beside import read_lock, read_manifest
from ..doctor.checks import examine
from ..doctor.finding import Finding, Ground, error, ok
from ..home import home, store
from .command import Command, add_json, add_sharing, print_json, root_of, sharing_of

MARKS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_sharing(parser)
    add_json(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="only what is wrong")


def _run(args: argparse.Namespace) -> int:
    ground, about = _ground(args)
    told = [("project", about), *examine(ground)]
    counts = Counter(finding.level for _, finding in told)
    if args.json:
        rows = [{"check": name, **asdict(finding)} for name, finding in told]
        print_json("doctor/1", {"ok": not counts["error"], "findings": rows})
    else:
        _print(told, quiet=args.quiet)
        said = ", ".join(words.count(counts[level], level) for level in ("error", "warning"))
        print(f"{words.count(len(told), 'finding')}: {said}", file=sys.stderr)
    return 1 if counts["error"] else 0


def _print(told: Sequence[tuple[str, Finding]], *, quiet: bool) -> None:
    for name, finding in told:
        if finding.level == "ok" and quiet:
            continue
        print(f"{MARKS[finding.level]}  {name}: {finding.what}")
        if finding.mend:
            print(f"         {finding.mend}")


def _ground(args: argparse.Namespace) -> tuple[Ground, Finding]:
    """What is to be looked at, and whether what the project says of itself can be read."""
    root = root_of(args)
    ground = Ground(Path(home()), Path(store()), root, dict(os.environ), is_offline())
    if not args.manifest.exists():
        return ground, ok(f"no {args.manifest} here, so only the machine is looked at")
    try:
        manifest = read_manifest(args.manifest)
        modes = sharing_of(args).modes(manifest)
        ground = replace(ground, manifest=manifest, modes=modes)
        return replace(ground, lock=read_lock(root)), ok(f"{args.manifest} and its lock are read")
    except CortexError as reason:
        return ground, error(str(reason), reason.hint)


COMMANDS = (
    Command("doctor", "what is wrong on this machine, and what puts it right", _arguments, _run),
)
