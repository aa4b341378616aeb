"""`sync` and `plan`: make what cortex.yaml says, or say what would be made."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...app.explain import Outlook, outlook
from ...app.project import Project
from ...app.sync import Outcome
from ...core.digest import Tree
from ...core.events import Event, StepChanged
from ...core.step import Kind, StepId
from .. import words
from ..python import raise_if_failed, run_sync
from ..render import screen
from .command import Command, add_json, add_targets, open_project, plain_reason, print_json


def _sync_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    add_json(parser)
    parser.add_argument("-j", "--jobs", type=_jobs, metavar="N", help="steps at once")
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would run")
    after = parser.add_mutually_exclusive_group()
    after.add_argument(
        "-k", "--keep-going", dest="after_failure", action="store_const", const="go-on",
        default="finish", help="after a failure, go on with what does not need it",
    )  # fmt: skip
    after.add_argument(
        "--fail-fast", dest="after_failure", action="store_const", const="stop",
        help="after a failure, end what is running",
    )  # fmt: skip
    waiting = parser.add_mutually_exclusive_group()
    waiting.add_argument(
        "--lock-timeout", type=float, metavar="SEC", help="how long to wait for another process"
    )
    waiting.add_argument(
        "--no-wait", dest="lock_timeout", action="store_const", const=0.0, help="not at all"
    )
    parser.add_argument(
        "--progress", choices=("auto", "tty", "plain", "json", "none"), default="auto",
        help="how to show it; json is one event a line on stderr",
    )  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true", help="errors only")


def _jobs(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number from 1")
    return int(text)


def _sync(args: argparse.Namespace) -> int:
    started = time.monotonic()
    project = open_project(args)
    targets = project.plan.select(args.targets)
    if args.dry_run:
        return _show_plan(project, targets, as_json=args.json)
    changes: dict[StepId, StepChanged] = {}  # the last of each step
    kind = "none" if args.quiet or (args.json and args.progress == "auto") else args.progress
    with screen(kind) as shown:

        def emit(event: Event) -> None:
            if isinstance(event, StepChanged):
                changes[event.step] = event
            shown.emit(event)

        outcome = run_sync(
            project,
            targets,
            args.jobs,
            emit,
            after_failure=args.after_failure,
            patience=args.lock_timeout,
        )
    seconds = time.monotonic() - started
    if args.json:
        _print_sync(outcome, list(changes.values()), seconds)
    elif not args.quiet:
        _print_failures(outcome)
        counts = Counter[str](change.change for change in changes.values())
        print(f"{_summary(counts, len(targets))}  {words.time(seconds)}", file=sys.stderr)
    raise_if_failed(outcome)
    return 0


def _summary(counts: Counter[str], targets: int) -> str:
    said = [
        f"{counts[change]} {word}"
        for change, word in (
            ("built", "built"),
            ("reused", "made by others"),
            ("fresh", "fresh"),
            ("failed", "failed"),
            ("skipped", "skipped"),
        )
        if counts[change]
    ]
    idle = "nothing to do, " if not (counts["built"] or counts["failed"]) else ""
    return f"{words.count(targets, 'target')}: {idle}{', '.join(said)} steps"


def _print_failures(outcome: Outcome) -> None:
    for label, failure in outcome.failed.items():
        print(f"\n{label} failed: {failure.message}", file=sys.stderr)
        if failure.hint:
            print(f"  hint: {failure.hint}", file=sys.stderr)
        if failure.log:
            for line in _last_lines(Path(failure.log)):
                print(f"  | {line}", file=sys.stderr)
            print(f"  log:  {failure.log}", file=sys.stderr)
    for one in outcome.targets:
        if one.tree is not None:
            for problem in one.wrong:
                print(f"\n{one.target} is not good enough: {problem}", file=sys.stderr)


def _last_lines(log: Path, most: int = 8) -> list[str]:
    try:
        return log.read_text(errors="replace").rstrip().splitlines()[-most:]
    except OSError:
        return []


def _print_sync(outcome: Outcome, changes: Sequence[StepChanged], seconds: float) -> None:
    targets = [
        {
            "target": one.target,
            "ok": not one.wrong,
            "wrong": list(one.wrong),
            "path": str(one.path),
            "digest": one.tree.digest if one.tree else None,
            "size": one.tree.size if one.tree else None,
        }
        for one in outcome.targets
    ]
    steps = [
        {"step": c.label, "change": c.change, "seconds": c.seconds, "size": c.size}
        for c in changes
        if c.change != "started"
    ]
    failures = {
        label: {"message": failure.message, "hint": failure.hint, "log": failure.log}
        for label, failure in outcome.failed.items()
    }
    counts = Counter(str(step["change"]) for step in steps)
    names = ("built", "reused", "fresh", "failed", "skipped")
    summary = {name: counts[name] for name in names} | {"seconds": round(seconds, 3)}
    fields = {"summary": summary, "targets": targets, "steps": steps, "failures": failures}
    print_json("sync/1", fields)


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    add_json(parser)


def _plan(args: argparse.Namespace) -> int:
    project = open_project(args)
    return _show_plan(project, project.plan.select(args.targets), as_json=args.json)


STATES = {"fresh": "fresh", "will-run": "will run", "may-run": "may run"}


def _show_plan(project: Project, targets: tuple[str, ...], *, as_json: bool) -> int:
    steps = outlook(project, targets)
    needed = sum(step.size for step in steps if step.state != "fresh")
    counts = Counter[str](step.state for step in steps)
    if as_json:
        notes = {name: project.plan.goals[name].note for name in targets}
        _print_plan(project, steps, counts, needed, notes)
        return 0
    said = ", ".join(f"{counts[state]} {word}" for state, word in STATES.items() if counts[state])
    print(f"{words.count(len(targets), 'target')}, {words.count(len(steps), 'step')}: {said}")
    for name in targets:
        if note := project.plan.goals[name].note:
            print(f"  {name}: {note}")
    rows = [
        (f"  {STATES[s.state]}", s.step.label, words.size(s.size), _why(s))
        for s in steps
        if s.state != "fresh"
    ]
    if rows:
        print()
        widths = [max(len(row[n]) for row in rows) for n in range(3)]
        for row in rows:
            cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2].rjust(widths[2])]
            print("  ".join([*cells, row[3]]))
        free = shutil.disk_usage(_existing(project)).free
        print(f"\nwrites about {words.size(needed)} ({words.size(free)} free)")
    return 0


def _existing(project: Project) -> str:
    return str(project.store.root)


def _why(step: Outlook) -> str:
    return "; ".join(reason.text for reason in step.reasons[:2])


def _print_plan(
    project: Project,
    steps: Sequence[Outlook],
    counts: Counter[str],
    needed: int,
    notes: Mapping[str, str],
) -> None:
    labels = {step.id: step.step.label for step in steps}
    listed = [
        {
            "id": step.step.label,
            "kind": step.step.kind.value,
            "state": step.state,
            "key": step.key,
            "key_if_unchanged": step.key_if_unchanged,
            "reasons": [plain_reason(reason) for reason in step.reasons],
            "inputs": {
                role: {"step": labels.get(item.step), "artifact": _digest(step.inputs[role])}
                for role, item in step.step.inputs.items()
            },
            "outputs": [{"artifact": _digest(step.tree), "size_estimate": step.size}],
            "cache": {"local": step.here, "remote": None},
            "seconds_estimate": step.seconds,
            "pool": "net" if step.step.kind is Kind.FETCH else "cpu",
        }
        for step in steps
    ]
    summary = {
        "fresh": counts["fresh"],
        "remote": 0,
        "will_run": counts["will-run"],
        "may_run": counts["may-run"],
    }
    disk = {"needed": needed, "free": shutil.disk_usage(_existing(project)).free}
    targets = [{"target": name, "note": note or None} for name, note in notes.items()]
    fields = {"summary": summary, "targets": targets, "steps": listed, "disk": disk}
    print_json("plan/1", fields)


def _digest(tree: Tree | None) -> str | None:
    return tree.digest if tree is not None else None


COMMANDS = (
    Command("sync", "build what is not up to date", _sync_arguments, _sync),
    Command("plan", "say what `sync` would do, and run nothing", _plan_arguments, _plan),
)
