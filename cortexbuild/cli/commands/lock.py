"""`lock`: pin what cortex.yaml names, move pins, or check that nothing would change."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

from ...app.project import Project
from ...app.record import record_outputs
from ...app.relock import NOTHING, Pins
from ...core.lockchanges import Change, changes
from ...core.lockfile import lock_to_text
from ...errors import DriftError, UsageError
from .. import wire
from ..beside import LOCK, write_lock
from .command import Command, add_json, open_store, print_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--upgrade", nargs="*", metavar="MODEL",
        help="pin these models anew, or all: what their names stand for now",
    )  # fmt: skip
    parser.add_argument(
        "--upgrade-tools", action="store_true", help="take the versions of tools that are here"
    )
    parser.add_argument(
        "--record-outputs", action="store_true",
        help="write down what the built targets are, for `sync` to reproduce bit for bit",
    )  # fmt: skip
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 3 if something would change"
    )
    add_json(parser)


def _lock(args: argparse.Namespace) -> int:
    moves = args.upgrade is not None or args.upgrade_tools or args.record_outputs
    if args.check and moves:
        raise UsageError(
            "`--check` changes nothing, so there is nothing to upgrade or record",
            hint="leave `--check` out, or the other options",
        )
    upgrade = ("*",) if args.upgrade == [] else tuple(args.upgrade or ())
    pins = Pins(may_ask=not args.check, upgrade=upgrade, upgrade_tools=args.upgrade_tools)
    project = wire.open_project(args.manifest, open_store(), pins)
    lock = project.lock
    if args.record_outputs:
        lock = replace(lock, outputs=record_outputs(project))
    found = changes(project.locked or NOTHING, lock)
    if not args.check:
        write_lock(project.root, lock)
    if args.json:
        print_json("lock/1", {"changes": [asdict(change) for change in found]})
    if args.check:
        check_lock(project)
    if not args.json:
        print_changes(found)
        if not found:
            print(f"{LOCK} is up to date", file=sys.stderr)
    return 0


def check_lock(project: Project) -> None:
    """Raises DriftError when cortex.lock is not what the manifest needs, to the letter."""
    if project.locked is None:
        raise DriftError(
            f"there is no {LOCK}", hint="run `cortexbuild lock` and commit what it writes"
        )
    found = changes(project.locked, project.lock)
    if found:
        lines = "\n".join(f"  {change.sign} {change.name}  {change.what}" for change in found)
        raise DriftError(
            f"{LOCK} is not up to date with cortex.yaml:\n{lines}",
            hint=f"run `cortexbuild lock` and commit {LOCK}",
        )
    for target, goal in project.plan.goals.items():
        model, _, name = target.partition(":")
        if goal.otherwise and project.manifest.models[model].targets[name].escalate:
            raise DriftError(
                f"{LOCK} does not say where `escalate:` of {target} ends",
                hint=f"run `cortexbuild sync {target}` and commit {LOCK}",
            )
    if (project.root / LOCK).read_text() != lock_to_text(project.lock):
        raise DriftError(
            f"{LOCK} says the right things and is not written as cortexbuild writes it",
            hint=f"run `cortexbuild lock` and commit {LOCK}",
        )


def print_changes(found: Sequence[Change]) -> None:
    for change in found:
        print(f"{change.sign} {change.name}  {change.what}")
        for line in change.files:
            print(f"    {line}")


COMMANDS = (Command("lock", "pin sources and tools in cortex.lock", _arguments, _lock),)
