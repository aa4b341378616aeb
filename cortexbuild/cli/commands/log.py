"""`log`: what steps wrote when they last ran for this project."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ...core.document import did_you_mean
from ...errors import ToolError, UsageError
from ..beside import read_logs
from ..logs import lines_of
from .command import Command, add_json, print_json, root_of


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="TARGET|STEP",
        help="`model:target`, or a step as `sync` names it, with * and ?; if none, the last run",
    )  # fmt: skip
    parser.add_argument("--path", action="store_true", help="only say where the logs are")
    add_json(parser)


def _run(args: argparse.Namespace) -> int:
    kept = read_logs(root_of(args))
    known = {label: Path(path) for label, path in kept.items() if Path(path).is_file()}
    if not known:
        raise ToolError(
            "no logs of this project are kept",
            hint="`cortexbuild sync` writes one for each step that runs; the last 50 runs are kept",
        )
    chosen = {label: known[label] for label in _chosen(args.names, known)}
    if args.json:
        rows = [
            {"step": label, "path": str(path), "lines": lines_of(path)}
            for label, path in chosen.items()
        ]
        print_json("log/1", {"logs": rows})
        return 0
    for label, path in chosen.items():
        print(path if args.path else f"== {label}  {path}")
        for line in () if args.path else lines_of(path):
            print(line)
    return 0


def _chosen(names: Sequence[str], known: Mapping[str, Path]) -> list[str]:
    """Labels in the order in which they were written."""
    by_age = sorted(known, key=lambda label: known[label].stat().st_mtime_ns)
    if not names:
        last = known[by_age[-1]].parent
        return [label for label in by_age if known[label].parent == last]
    found: set[str] = set()
    for name in names:
        of_it = {one for one in by_age if fnmatchcase(one, name) or fnmatchcase(one, f"{name}/*")}
        if not of_it:
            raise UsageError(
                f"no log of `{name}`",
                hint=did_you_mean(name, by_age, f"there are logs of {', '.join(by_age)}"),
            )
        found |= of_it
    return [label for label in by_age if label in found]


COMMANDS = (Command("log", "what steps wrote when they last ran", _arguments, _run),)
