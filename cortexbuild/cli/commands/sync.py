"""`sync`: make what cortex.yaml says."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ...app.explain import outlook
from ...app.generate import look
from ...app.project import Project
from ...app.sync import Outcome
from ...core.events import Event, StepChanged
from ...core.plan import Scope
from ...core.step import StepId
from ...errors import DriftError, UsageError
from .. import wire, words
from ..python import raise_if_failed, run_sync
from ..render import screen
from .command import (
    Command,
    add_json,
    add_pins,
    add_scope,
    add_targets,
    open_project,
    print_json,
    scope_of,
)
from .lock import check_lock
from .plan import show_plan


def _sync_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    add_scope(parser)
    add_pins(parser)
    parser.add_argument(
        "--check", action="store_true",
        help="change nothing; exit 3 if cortex.lock or a target is not up to date",
    )  # fmt: skip
    add_json(parser)
    parser.add_argument("-j", "--jobs", type=_jobs, metavar="N", help="steps at once")
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would run")
    parser.add_argument(
        "--replace", action="store_true",
        help="with --force: keep the new result where it differs, not the first",
    )  # fmt: skip
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
    said = parser.add_mutually_exclusive_group()
    said.add_argument("-q", "--quiet", action="store_true", help="errors only")
    said.add_argument(
        "-v", "--verbose", action="store_true", help="also what starts and what is fresh"
    )


def _jobs(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number from 1")
    return int(text)


def _sync(args: argparse.Namespace) -> int:
    started = time.monotonic()
    if args.replace and not args.force:
        raise UsageError("`--replace` is about what is made again", hint="add `--force`")
    if args.check:
        args.locked = True
    project = open_project(args)
    if args.locked:
        check_lock(project)
    scope = scope_of(args, project)
    if args.check:
        return _check(project, scope)
    if args.dry_run:
        return show_plan(project, scope, as_json=args.json)
    if not args.frozen and project.lock != project.locked:
        wire.write_lock(project.root, project.lock)
    changes: dict[StepId, StepChanged] = {}  # the last of each step
    kind = "none" if args.quiet or (args.json and args.progress == "auto") else args.progress
    with screen(kind, verbose=args.verbose) as shown:

        def emit(event: Event) -> None:
            if isinstance(event, StepChanged):
                changes[event.step] = event
            shown.emit(event)

        outcome = run_sync(
            project,
            scope,
            args.jobs,
            emit,
            after_failure=args.after_failure,
            patience=args.lock_timeout,
            again="replace" if args.replace else "compare",
        )
    seconds = time.monotonic() - started
    if args.json:
        _print_sync(outcome, list(changes.values()), seconds)
    elif not args.quiet:
        _print_failures(outcome)
        counts = Counter[str](change.change for change in changes.values())
        print(f"{_summary(counts, len(scope.targets))}  {words.time(seconds)}", file=sys.stderr)
    raise_if_failed(outcome)
    return 0


def _check(project: Project, scope: Scope) -> int:
    """Looks at traces, views and stats only: no network, and no bytes are read."""
    stale = [step.step.label for step in outlook(project, scope) if step.state != "fresh"]
    for target in scope.targets:
        built = look(project, target)
        if built is None or built.stale:
            stale.append(target)
    if stale:
        raise DriftError(
            f"not up to date: {', '.join(dict.fromkeys(stale))}", hint="run `cortexbuild sync`"
        )
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


COMMANDS = (Command("sync", "build what is not up to date", _sync_arguments, _sync),)
