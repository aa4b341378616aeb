"""`cache`: what the store has, whether it is right, and letting go of some of it."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import timedelta
from functools import partial

from ...core.digest import Digest
from ...core.eviction import Rank, sizes_by_rank
from ...errors import StoreError
from ...store.storelock import store_lock
from .. import words
from ..artifacts import plain_artifact, plain_collection, print_collection, row_of
from ..collecting import Look, carry_out, collect, look
from . import remotecache
from .checking import verify_store
from .command import Command, a_size, add_json, add_waiting, open_store, print_json, print_rows

NOTHING: frozenset[Digest] = frozenset()


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--remote", metavar="REMOTE", help="of this remote, not of this machine")
    add_json(parser)


def _ls(args: argparse.Namespace) -> int:
    if args.remote:
        return remotecache.ls(args)
    with closing(open_store()) as store:
        found = look(store)
    artifacts = sorted(found.artifacts, key=lambda one: (-one.rank, one.label, one.name))
    if args.json:
        print_json("cache-ls/1", {"artifacts": [plain_artifact(one) for one in artifacts]})
        return 0
    print_rows([row_of(one) for one in artifacts])
    return 0


def _stats(args: argparse.Namespace) -> int:
    if args.remote:
        return remotecache.stats(args)
    with closing(open_store()) as store:
        found = look(store)
    total = sum(file.size for file in found.seen.files.values())
    ranks = sizes_by_rank(found.artifacts, NOTHING)
    projects, shared = _by_project(found)
    if args.json:
        fields = {
            "store": str(store.root),
            "files": len(found.seen.files),
            "bytes": total,
            "classes": {rank.word: size for rank, size in ranks.items()},
            "projects": projects,
            "shared": shared,
        }
        print_json("cache-stats/1", {**fields, "notes": list(found.notes)})
        return 0
    print(f"{store.root}: {words.count(len(found.seen.files), 'file')}, {words.size(total)}")
    rows = [(f"  {rank.word}", words.size(size)) for rank, size in ranks.items()]
    rows += [(f"  {project}", words.size(size)) for project, size in projects.items()]
    print_rows([*rows, ("  several projects", words.size(shared))] if shared else rows)
    return 0


def _by_project(found: Look) -> tuple[Mapping[str, int], int]:
    """What each project alone counts on, and what several do, in bytes that are here."""
    trees = {trace.key: trace.tree for trace in found.seen.traces}
    named = {tree.digest: tree for tree in trees.values()}
    users: dict[Digest, set[str]] = {}
    for hold in found.seen.holds:
        held = [trees[key] for key in hold.keys if key in trees]
        held += [named[name] for name in hold.sources if name in named]
        for tree in (*held, *hold.pins.values()):
            for file in tree.files:
                users.setdefault(file.digest, set()).add(str(hold.project))
    sums = {str(hold.project): 0 for hold in found.seen.holds}
    shared = 0
    for digest, names in users.items():
        size = found.seen.files[digest].size if digest in found.seen.files else 0
        if len(names) == 1:
            sums[min(names)] += size
        else:
            shared += size
    return sums, shared


def _gc_arguments(parser: argparse.ArgumentParser) -> None:
    until = parser.add_mutually_exclusive_group(required=True)
    until.add_argument("--keep", type=a_size, metavar="SIZE", help="go down to this: 200GB, 200GiB")
    until.add_argument(
        "--older-than", type=_age, metavar="AGE", help="what was not used for so long: 30d, 12h, 4w"
    )
    parser.add_argument(
        "--include-unrefetchable", action="store_true",
        help="also sources that no project has any more and that cannot be fetched again",
    )  # fmt: skip
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would go")
    add_waiting(parser)
    _arguments(parser)


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)([hdw])", text)
    if found is None:
        raise argparse.ArgumentTypeError("an age is written like `30d`, `12h` or `4w`")
    return int(found[1]) * {"h": timedelta(hours=1), "d": timedelta(1), "w": timedelta(7)}[found[2]]


def _verify(args: argparse.Namespace) -> int:
    return remotecache.verify(args) if args.remote else verify_store(args)


def _gc(args: argparse.Namespace) -> int:
    if args.remote:
        return remotecache.gc(args)
    say = partial(print, file=sys.stderr)
    with closing(open_store()) as store, ExitStack() as held:
        if not args.dry_run:
            lock = store_lock(store.root, "cache gc", say, args.lock_timeout, alone=True)
            held.enter_context(lock)
        plan = collect(store, args.keep, args.older_than, only_copies=args.include_unrefetchable)
        if not args.dry_run:
            carry_out(store, plan)
    kept = sizes_by_rank(plan.look.artifacts, plan.files())
    if args.json:
        print_json("gc/1", {"dry_run": args.dry_run, **plain_collection(plan, kept)})
    else:
        print_collection(plan, kept, "would go" if args.dry_run else "gone")
    if args.keep is not None and plan.choice.after > args.keep:
        raise StoreError(
            f"{words.size(plan.choice.after)} cannot go, and {words.size(args.keep)} were to stay",
            hint=_ways_out(kept),
        )
    return 0


def _ways_out(kept: Mapping[Rank, int]) -> str:
    said = "take targets out of a cortex.yaml and run `cortexbuild sync --prune` there"
    if Rank.ONLY_COPY in kept:
        said += "; `--include-unrefetchable` lets sources go that cannot be fetched again"
    return said


COMMANDS = (
    Command("cache", "what the store has, and letting go of some of it", parts=(
        Command("ls", "every artifact, and what it is there for", _arguments, _ls),
        Command("stats", "how much there is, of what and for whom", _arguments, _stats),
        Command("verify", "read all of it, and see whether it is right", _arguments, _verify),
        Command("gc", "make room: what no project needs goes", _gc_arguments, _gc),
    )),
)  # fmt: skip
