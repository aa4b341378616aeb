"""`sync`: make what cortex.yaml says."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from ...app.build import After
from ...app.explain import outlook
from ...app.generate import look
from ...app.project import Project
from ...app.relock import NOTHING
from ...core.events import Event, Said, StepChanged
from ...core.lockchanges import changes
from ...core.plan import Scope
from ...core.step import StepId
from ...errors import DriftError, UsageError
from .. import words
from ..beside import LOCK, MANIFEST
from ..cluster import add_place, machines
from ..outcome import print_failures, print_outcome, print_sharing, summary
from ..prune import prunable, prune
from ..screen import screen
from ..sealing import Began, seal
from ..sharing import push_good, share, writers
from ..syncing import SyncOptions, keep_settled, raise_if_failed, run_sync
from .command import (
    Command,
    a_count,
    add_json,
    add_pins,
    add_progress,
    add_scope,
    add_sharing,
    add_targets,
    add_waiting,
    open_project,
    scope_of,
    sharing_of,
)
from .lock import check_lock
from .plan import show_plan


def _sync_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    add_scope(parser)
    add_pins(parser)
    add_sharing(parser)
    parser.add_argument(
        "--check", action="store_true",
        help="change nothing; exit 3 if cortex.lock or a target is not up to date",
    )  # fmt: skip
    add_json(parser)
    parser.add_argument("-j", "--jobs", type=a_count, metavar="N", help="steps at once")
    parser.add_argument(
        "--no-intermediates", action="store_true",
        help="let go of weights made on the way as soon as nothing needs them",
    )  # fmt: skip
    parser.add_argument(
        "--executor", choices=("local", "dask"), default="",
        help="where steps run: on this machine, or on a Dask cluster; without `--scheduler` and "
        "`executor:` in cortex.yaml, on one of this machine",
    )  # fmt: skip
    add_place(parser, required=False)
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would run")
    parser.add_argument(
        "--prune", action="store_true",
        help="take away the views of targets that cortex.yaml has no more",
    )  # fmt: skip
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
    add_waiting(parser)
    add_progress(parser)
    said = parser.add_mutually_exclusive_group()
    said.add_argument("-q", "--quiet", action="store_true", help="errors only")
    said.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="also what starts, is fresh, and is written to logs",
    )


def _sync(args: argparse.Namespace) -> int:
    began = Began.now()
    if args.replace and not args.force:
        raise UsageError("`--replace` is about what is made again", hint="add `--force`")
    if args.check:
        args.locked = True
    project = open_project(args)
    if args.locked:
        check_lock(project)
    scope = scope_of(args, project)
    if args.check:
        return _check(project, scope, as_json=args.json)
    if args.dry_run:
        for change in changes(project.locked or NOTHING, project.lock):
            print(f"{LOCK} would have  {change.sign} {change.name}", file=sys.stderr)
        for view in prunable(project) if args.prune else ():
            print(f"would be taken away  {view}", file=sys.stderr)
        return show_plan(project, scope, as_json=args.json, keep=not args.no_intermediates)
    return _build(args, project, scope, began)


def _build(args: argparse.Namespace, project: Project, scope: Scope, began: Began) -> int:
    started = time.monotonic()
    last: dict[StepId, StepChanged] = {}  # the last of each step
    notes: list[Said] = []
    kind = "none" if args.quiet or (args.json and args.progress == "auto") else args.progress
    with screen(kind, verbose=args.verbose) as shown:

        def emit(event: Event) -> None:
            if isinstance(event, StepChanged):
                last[event.step] = event
            elif isinstance(event, Said):
                notes.append(event)
            shown.emit(event)

        def warn(text: str) -> None:
            emit(Said(text))

        sharing = sharing_of(args)
        writing = writers(project, sharing, warn)
        project, tiers = share(project, sharing, warn)
        project, elsewhere = machines(args, project, sharing)
        options = SyncOptions(
            args.jobs,
            After(args.after_failure, "fail" if args.require_remote else "build"),
            args.lock_timeout,
            "replace" if args.replace else "compare",
            keep_intermediates=not args.no_intermediates,
            machines=elsewhere,
            follow=args.verbose,
        )
        outcome = run_sync(project, scope, emit, options)
        told = push_good(project, scope.targets, writing, sharing, emit) if writing else []
    if not (args.locked or args.frozen):
        keep_settled(project, outcome)
    seconds = time.monotonic() - started
    said = summary(Counter(change.change for change in last.values()), len(scope.targets))
    if args.json:
        print_outcome(outcome, list(last.values()), seconds, tiers, told)
    elif not args.quiet:
        print_failures(outcome)
        print_sharing(tiers, told)
        print(f"{said}  {words.time(seconds)}", file=sys.stderr)
    raise_if_failed(outcome)
    for view in prune(project) if args.prune else ():
        print(f"  gone  {view}", file=sys.stderr)
    idle = not (notes or writing) and all(one.change == "fresh" for one in last.values())
    whole = scope == Scope(tuple(project.plan.goals)) and args.manifest == Path(MANIFEST)
    if idle and whole and project.lock == project.locked and not args.frozen:
        seal(project, outcome, began, said)
    return 0


def _check(project: Project, scope: Scope, *, as_json: bool) -> int:
    """Looks at traces, views and stats only: no network, and no bytes are read."""
    if as_json:
        show_plan(project, scope, as_json=True)
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


COMMANDS = (Command("sync", "build what is not up to date", _sync_arguments, _sync),)
