"""`export` and `push-to-hub`: hand a built target to other programs, and to other people."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from ...app.export import Ready, ready, source_file
from ...app.project import Project
from ...errors import RemoteError
from ...exports import Given, How, Neighbour, Package, find_neighbour
from ...formats.files import notice_files
from ...sources import is_offline
from .. import wire, words
from .command import Command, add_json, add_target, open_project, print_json, print_rows


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument(
        "--to", required=True, metavar="WHERE",
        help="ollama, lmstudio, hf-cache, or a folder (`./out`) as the Hub would have it",
    )  # fmt: skip
    parser.add_argument(
        "--name", default="", metavar="NAME",
        help="what it is called there: `model:tag` for Ollama, else `org/model`",
    )  # fmt: skip
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="where that program has its models, if elsewhere"
    )
    parser.add_argument(
        "--copy", action="store_true", help="copy the weights, and do not link them"
    )
    parser.add_argument(
        "--replace", action="store_true", help="in place of another model of that name"
    )
    add_json(parser)


def _export(args: argparse.Namespace) -> int:
    neighbour = find_neighbour(args.to)
    project = open_project(args)
    found = ready(project, args.target, partial(beside, project))
    given = _give(args, project, neighbour, found)
    notes = [*found.notes, *given.notes]
    _tell(notes)
    if copied := given.bytes_.get("copied"):
        why = "as asked" if args.copy else "no links between there and the store"
        print(f"note: copied {words.size(copied)}: {why}", file=sys.stderr)
    if args.json:
        fields = {"target": found.target, "to": neighbour.to, "name": given.name}
        fields |= {"path": str(given.path), "digest": found.built.tree.digest}
        print_json("export/1", {**fields, "bytes": given.bytes_, "notes": notes})
        return 0
    how = ", ".join(f"{words.size(count)} {came}" for came, count in given.bytes_.items())
    print(f"{found.target} is {given.name} in {neighbour.to}: {how}")
    print(f"  {given.path}")
    if given.use:
        print(f"  {given.use}")
    return 0


def _give(args: argparse.Namespace, project: Project, neighbour: Neighbour, found: Ready) -> Given:
    store = wire.store_of(project)
    root = (args.root or neighbour.root()).expanduser().absolute()
    name = args.name or neighbour.name(found.target)
    how = How(args.copy, args.replace)
    return neighbour.give(store, _package(project, found), root, name, how)


def _tell(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _package(project: Project, found: Ready) -> Package:
    """What goes out under our name is read, not only looked at."""
    files = found.files.values()
    wire.store_of(project).check_blobs(files, f"run `cortexbuild sync {found.target}`")
    source = partial(source_file, project, found.target)
    return Package(found.target, found.goal.format, found.files, found.texts, source)


def _push_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("repo", metavar="REPO", help="`org/name`; it is made if there is none")
    parser.add_argument("--private", action="store_true", help="if it is made, for you alone")
    parser.add_argument("--revision", default="main", metavar="BRANCH", help="(default: main)")
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would be sent")
    add_json(parser)


def _push(args: argparse.Namespace) -> int:
    from ...exports.hub import push

    project = open_project(args)  # which refuses what `licenses: deny:` names
    found = ready(project, args.target, partial(beside, project))
    _tell(found.notes)
    package = _package(project, found)
    rows = [(path, file.size) for path, file in package.files.items()]
    rows += [(path, len(text)) for path, text in package.texts.items()]
    fields = {"target": found.target, "repo": args.repo, "revision": args.revision}
    if args.dry_run:
        if args.json:
            print_json("push-to-hub/1", {**fields, "files": dict(rows), "commit": None})
            return 0
        print(f"{found.target} would be sent to {args.repo}, branch {args.revision}:")
        print_rows([(f"  {path}", words.size(size)) for path, size in rows])
        return 0
    if is_offline():
        raise RemoteError(
            "`push-to-hub` needs the network, and it is not to be used",
            hint="leave `--offline` out, and CORTEX_OFFLINE unset; `--dry-run` needs no network",
        )
    store = wire.store_of(project)
    pushed = push(store, package, args.repo, args.revision, private=args.private)
    if args.json:
        fields |= {"url": pushed.url, "commit": pushed.commit}
        print_json("push-to-hub/1", {**fields, "files": dict(rows)})
        return 0
    done = "is there already" if pushed.was_there else "was sent"
    print(f"{found.target} {done}: {pushed.url} ({pushed.commit[:12]})")
    return 0


def beside(project: Project, origin: str) -> dict[str, bytes]:
    """The texts of a licence beside the weights of a source on this machine."""
    scheme, _, place = origin.partition(":")
    folder = project.root / Path(place).expanduser()
    if scheme != "path" or not folder.is_dir():
        return {}
    names = notice_files(path.name for path in folder.iterdir() if path.is_file())
    return {name: (folder / name).read_bytes() for name in names}


COMMANDS = (
    Command("export", "hand a built target to another program", _arguments, _export),
    Command("push-to-hub", "publish a built target on the Hub", _push_arguments, _push),
)
