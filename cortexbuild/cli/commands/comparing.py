"""`diff` and `status`: two locks or two targets side by side, and all of it in one screen."""

from __future__ import annotations

import argparse
import shutil
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from ...app.diff import Diff, Side, diff
from ...app.explain import outlook
from ...app.generate import look, state_of
from ...app.project import Project
from ...app.rebuild import differing
from ...app.relock import NOTHING
from ...core.lockchanges import changes
from ...core.plan import Scope
from .. import words
from ..beside import LOCK, read_lock_file
from .command import Command, add_json, open_project, print_json, print_rows
from .lock import print_changes


def _diff_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("one", metavar="A", help="a target, or a file that is a lock")
    parser.add_argument("other", metavar="B", help="another of the same")
    add_json(parser)


def _diff(args: argparse.Namespace) -> int:
    if Path(args.one).is_file() and Path(args.other).is_file():
        return _diff_locks(args)
    project = open_project(args)
    found = diff(project, *map(project.plan.select_one, (args.one, args.other)))
    bits = [_bits(project, side) for side in (found.one, found.other)]
    if args.json:
        _print_json(found, bits)
    else:
        _print(found, bits)
    return 0


def _diff_locks(args: argparse.Namespace) -> int:
    locks = [read_lock_file(Path(path), path) for path in (args.one, args.other)]
    found = changes(*locks)
    if args.json:
        print_json("lock/1", {"changes": [asdict(change) for change in found]})
    else:
        print_changes(found)
    return 0


def _bits(project: Project, side: Side) -> dict[str, str]:
    from ...formats.stored import stored  # not needed by any other command

    goal = project.plan.goals[side.target]
    return dict(stored(project.views.path(side.target, goal.format)))


def _print(found: Diff, bits: list[dict[str, str]]) -> None:
    one, other = found.one, found.other
    sizes = f"{words.size(one.tree.size)} -> {words.size(other.tree.size)}"
    print(f"{one.target} -> {other.target}  {sizes}")
    for name, differences in found.made.items():
        for difference in differences:
            print(f"  {name}: {difference}")
    for measure in sorted({*one.measures, *other.measures}):
        was, now = one.measures.get(measure), other.measures.get(measure)
        if was != now:
            print(f"  measured {measure}: {was} -> {now}")
    for path in differing(one.tree, other.tree):
        before, after = one.tree.find(path), other.tree.find(path)
        shown = [words.size(file.size) if file else "not there" for file in (before, after)]
        print(f"  file {path}: {shown[0]} -> {shown[1]}")
    moved = Counter((bits[0].get(n, "-"), bits[1].get(n, "-")) for n in {*bits[0], *bits[1]})
    for (was, now), count in sorted(moved.items()):
        if was != now:
            print(f"  {words.count(count, 'weight')}: {was} -> {now}")


def _print_json(found: Diff, bits: list[dict[str, str]]) -> None:
    sides = [
        {
            "target": side.target,
            "size": side.tree.size,
            "files": {file.path: file.digest for file in side.tree.files},
            "measures": dict(side.measures),
            "weights": weights,
        }
        for side, weights in zip((found.one, found.other), bits, strict=True)
    ]
    made = [
        {"step": name, "at": ".".join(d.at), "old": d.old, "new": d.new}
        for name, differences in found.made.items()
        for d in differences
    ]
    print_json("diff/1", {"sides": sides, "made": made})


def _status(args: argparse.Namespace) -> int:
    project = open_project(args)
    targets = project.plan.select([])
    stale = changes(project.locked or NOTHING, project.lock)
    steps = outlook(project, Scope(targets))
    counts = Counter[str](step.state for step in steps)
    states = {target: state_of(look(project, target)) for target in targets}
    disk = shutil.disk_usage(project.store.root)
    if args.json:
        lock = {"state": "missing" if project.locked is None else "stale" if stale else "current"}
        print_json(
            "status/1",
            {"lock": lock, "targets": states, "steps": dict(counts), "free": disk.free},
        )
        return 0
    said = "is not there yet" if project.locked is None else "is up to date"
    if stale and project.locked is not None:
        said = f"is {len(stale)} {'entry' if len(stale) == 1 else 'entries'} behind cortex.yaml"
    print(f"{LOCK}  {said}")
    print(f"steps        {', '.join(f'{count} {state}' for state, count in counts.items())}")
    print(f"store        {project.store.root}, {words.size(disk.free)} free")
    print()
    rows = []
    for target in targets:
        goal = project.plan.goals[target]
        rows.append((f"  {states[target]}", target, str(project.views.path(target, goal.format))))
    print_rows(rows)
    return 0


COMMANDS = (
    Command("status", "lock, steps and targets in one screen", add_json, _status),
    Command("diff", "how two targets, or two locks, differ", _diff_arguments, _diff),
)
