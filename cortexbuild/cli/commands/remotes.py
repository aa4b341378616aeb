"""`push` and `pull`: what was built, to the shared caches and from them."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from functools import partial

from ...app.build import After
from ...app.share import parcels, unavailable
from ...core.events import Event, Said, StepChanged
from ...core.plan import Scope
from ...core.step import StepId
from ...errors import RemoteError, ToolError, UsageError
from ...sources import is_offline
from ...store.storelock import store_lock
from ..outcome import (
    plain_pushed,
    print_failures,
    print_outcome,
    print_pushed,
    print_sharing,
    summary,
)
from ..screen import screen
from ..sharing import push, senders, share
from ..syncing import SyncOptions, keep_settled, raise_if_failed, run_sync
from .command import (
    Command,
    add_json,
    add_key,
    add_pins,
    add_progress,
    add_sharing,
    add_targets,
    open_project,
    print_json,
    sharing_of,
)


def _push_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    add_key(parser)
    add_json(parser)
    add_progress(parser)
    parser.add_argument("--remote", metavar="REMOTE", help="to this one; without it, to all")
    parser.add_argument(
        "--closure", action="store_true",
        help="also what lies between and the sources, as far as they are here",
    )  # fmt: skip


def _push(args: argparse.Namespace) -> int:
    project = open_project(args)
    known = [address.name for address in project.manifest.cache.remotes]
    if not known:
        raise UsageError(
            "cortex.yaml names no remote",
            hint="name one there: `cache: {remotes: ['s3://bucket/prefix']}`",
        )
    names = [project.manifest.cache.remote(args.remote).name] if args.remote else known
    if is_offline() and any(project.manifest.cache.remote(n).scheme != "file" for n in names):
        raise UsageError(
            "the network is not to be used", hint="name a remote that is a folder: `--remote NAME`"
        )
    say = partial(print, file=sys.stderr)
    to = senders(project, args.key, names, say)
    with (
        screen("none" if args.json else args.progress) as shown,
        store_lock(project.store.root, "push", lambda text: shown.emit(Said(text))),
    ):
        found = parcels(project, project.plan.select(args.targets), closure=args.closure)
        told = push(to, found.parcels, shown.emit)
    if args.json:
        fields = {"remotes": plain_pushed(told), "left_out": dict(found.left_out)}
        print_json("push/1", fields)
    else:
        print_pushed(told)
    for one in told:
        if one.wrong is not None:
            raise one.wrong
    if found.left_out:
        said = "; ".join(f"{target}: {why}" for target, why in found.left_out.items())
        raise ToolError(f"not pushed: {said}", hint="run `cortexbuild sync` first")
    return 0


def _pull_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    add_pins(parser)
    add_sharing(parser)
    add_json(parser)
    add_progress(parser)
    parser.add_argument(
        "--allow-missing", action="store_true", help="bring what there is, and leave the rest"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="errors only")


def _pull(args: argparse.Namespace) -> int:
    started, last = time.monotonic(), dict[StepId, StepChanged]()
    project = open_project(args)
    with screen("none" if args.quiet or args.json else args.progress) as shown:

        def emit(event: Event) -> None:
            if isinstance(event, StepChanged):
                last[event.step] = event
            shown.emit(event)

        project, tiers = share(project, sharing_of(args), lambda text: emit(Said(text)))
        targets = project.plan.select(args.targets)
        missing = dict(unavailable(project, targets))
        if missing and not args.allow_missing:
            print_sharing(tiers, [])
            said = "; ".join(f"{name} ({', '.join(steps)})" for name, steps in missing.items())
            raise RemoteError(
                f"not to be had without building: {said}",
                hint="`cortexbuild sync` builds them; `--allow-missing` brings the others",
            )
        scope = Scope(tuple(target for target in targets if target not in missing))
        outcome = run_sync(project, scope, emit, SyncOptions(after=After("go-on", "fail")))
    if not (args.locked or args.frozen):
        keep_settled(project, outcome)
    seconds = time.monotonic() - started
    if args.json:
        print_outcome(outcome, list(last.values()), seconds, tiers, [])
    elif not args.quiet:
        print_failures(outcome)
        print_sharing(tiers, [])
        counts = Counter[str](change.change for change in last.values())
        print(summary(counts, len(scope.targets)), file=sys.stderr)
    raise_if_failed(outcome)
    return 0


COMMANDS = (
    Command("push", "send what is built to the shared caches", _push_arguments, _push),
    Command("pull", "bring targets from the shared caches, and build nothing", _pull_arguments,
            _pull),
)  # fmt: skip
