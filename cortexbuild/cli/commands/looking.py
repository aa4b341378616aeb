"""`why`, `list`, `info`, `path`: look at what is there, and change nothing."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from ...app.explain import Outlook, outlook
from ...app.generate import find_built, look, state_of
from ...app.project import Project
from ...core.plan import Scope
from ...errors import UsageError
from ...redaction import without_logins
from ...sources import find_source
from .. import words
from ..looks import IndexedLooks
from ..planned import plain_reason
from .command import (
    Command,
    a_count,
    add_json,
    add_target,
    add_targets,
    open_project,
    open_store,
    print_json,
    print_rows,
)


def _one_target(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    add_json(parser)


def _why(args: argparse.Namespace) -> int:
    project = open_project(args)
    targets = project.plan.select([args.target])
    steps = outlook(project, Scope(targets))
    if args.json:
        listed = [
            {
                "id": s.step.label,
                "state": s.state,
                "key": s.key,
                "reasons": [plain_reason(reason) for reason in s.reasons],
            }
            for s in steps
        ]
        print_json("why/1", {"targets": list(targets), "steps": listed})
        return 0
    for target in targets:
        if note := project.plan.goals[target].note:
            print(f"{target}  {note}")
    for step in steps:
        key = f"  key {step.key[:12]}" if step.key else ""
        print(f"{step.step.label}  {step.state.replace('-', ' ')}{key}{_made(project, step)}")
        for reason in step.reasons:
            where = f"    ({reason.where})" if reason.where else ""
            print(f"    {reason.text}{where}")
    return 0


def _made(project: Project, step: Outlook) -> str:
    """When and where a fresh step's output was made, and whether its bytes are in the store."""
    trace = project.store.read_trace(step.key) if step.key and step.state == "fresh" else None
    if trace is None:
        return ""
    where = "in the store" if step.here else "its bytes are gone, and not needed"
    return f"  made {trace.made.get('at', '')} on {trace.made.get('platform', '')}, {where}"


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    add_json(parser)


def _list(args: argparse.Namespace) -> int:
    project = open_project(args)
    rows, listed = [], []
    for target in project.plan.select(args.targets):
        built = look(project, target)
        goal = project.plan.goals[target]
        state = state_of(built)
        path = project.views.path(target, goal.format)
        size = built.tree.size if built else None
        rows.append((target, state, words.size(size) if size else "-", str(path)))
        listed.append(
            {
                "target": target,
                "state": state,
                "format": goal.format,
                "size": size,
                "path": str(path),
                "digest": built.tree.digest if built else None,
            }
        )
    if args.json:
        print_json("list/1", {"targets": listed})
    else:
        print_rows(rows)
    return 0


def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", metavar="TARGET|PATH", help="a target, a folder, a file or a source"
    )
    parser.add_argument(
        "--context", type=a_count, metavar="TOKENS", help="for how long a text to count the memory"
    )
    add_json(parser)


def _info(args: argparse.Namespace) -> int:
    from ...formats.code import code_files  # not needed by any other command
    from ...formats.detection import detect
    from ...formats.listing import local_files
    from ...formats.memory import USUAL_CONTEXT, memory_of

    path = Path(args.what)
    if re.match(r"(hf|https?):.+/", args.what) and not path.exists():
        return _info_of_source(args)
    if not path.exists():
        if ":" not in args.what:
            raise UsageError(
                f"`{args.what}` is neither a path nor a target",
                hint="a target is written `model:target`",
            )
        path = find_built(open_project(args), args.what).path
    found = detect(path)
    context = args.context or min(USUAL_CONTEXT, found.context_length or USUAL_CONTEXT)
    needed = memory_of(path, context)
    memory = {"bytes": needed, "context": context} if needed is not None else None
    code = code_files(local_files(path))
    facts = {**found.to_plain(), "code": code or None, "path": str(path), "memory": memory}
    if args.json:
        print_json("info/1", facts)
    else:
        if needed is not None:
            facts["memory"] = f"{words.size(needed)} with a context of {context:,} tokens"
        print_rows([(name, _shown(value)) for name, value in facts.items() if value is not None])
    return 0


def _info_of_source(args: argparse.Namespace) -> int:
    """What a source would be pinned as now: by metadata and ranges of headers, without weights."""
    pinned = find_source(args.what).pin(args.what, Path.cwd(), IndexedLooks(open_store().index))
    facts = {
        **pinned.facts,
        "origin": without_logins(pinned.origin),
        "commit": pinned.commit or None,
        "bytes_to_fetch": pinned.tree.size,
        "files": [file.path for file in pinned.tree.files],
        "code": [file.path for file in pinned.code.files] or None,
    }
    if args.json:
        print_json("info/1", facts)
    else:
        print_rows([(name, _shown(value)) for name, value in facts.items() if value is not None])
    return 0


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _path(args: argparse.Namespace) -> int:
    built = find_built(open_project(args), args.target)
    if built.stale:
        print(f"warning: {built.target} is not up to date", file=sys.stderr)
    if args.json:
        fields = {"target": built.target, "path": str(built.path), "stale": built.stale}
        print_json("path/1", fields)
    else:
        print(built.path)
    return 0


COMMANDS = (
    Command("why", "say which ingredient of which step changed", _one_target, _why),
    Command("list", "the targets, and where they are", _list_arguments, _list),
    Command("info", "what a model is, from its headers", _info_arguments, _info),
    Command("path", "print where a built target is, for scripts", _one_target, _path),
)
