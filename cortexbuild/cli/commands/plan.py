"""`plan`: say what `sync` would do, and why. The agenda of a sync, looked at and not run."""

from __future__ import annotations

import argparse
import sys

from ...app.project import Project
from ...core.plan import Scope
from ..planned import look_ahead, plain_plan, print_plan
from ..sharing import Sharing, share
from .command import (
    Command,
    add_json,
    add_scope,
    add_targets,
    open_project,
    print_json,
    scope_of,
)


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    add_scope(parser)
    add_json(parser)
    parser.add_argument(
        "--remote", action="store_true", help="ask the remotes, too, for what need not be built"
    )


def _plan(args: argparse.Namespace) -> int:
    project = open_project(args)
    if args.remote:
        project, _ = share(project, Sharing(), _warn, keep=False)
    return show_plan(project, scope_of(args, project), as_json=args.json)


def _warn(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def show_plan(project: Project, scope: Scope, *, as_json: bool, keep: bool = True) -> int:
    """`keep` is as the command line says it of intermediates; cortex.yaml may say otherwise."""
    keep = keep and project.manifest.cache.keep_intermediates
    planned = look_ahead(project, scope, keep=keep)
    if as_json:
        print_json("plan/1", plain_plan(planned))
    else:
        print_plan(planned)
    return 0


COMMANDS = (Command("plan", "say what `sync` would do, and run nothing", _plan_arguments, _plan),)
