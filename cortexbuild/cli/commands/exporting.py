"""`export`: hand a built target to the programs that run it."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from ...app.export import Ready, ready, source_file
from ...app.project import Project
from ...exports import Given, How, Neighbour, Package, find_neighbour
from .. import wire, words
from .command import Command, add_json, open_project, print_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="`model:target`")
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
    for note in given.notes:
        print(f"note: {note}", file=sys.stderr)
    if copied := given.bytes_.get("copied"):
        why = "as asked" if args.copy else "no links between there and the store"
        print(f"note: copied {words.size(copied)}: {why}", file=sys.stderr)
    if args.json:
        fields = {"target": found.target, "to": neighbour.to, "name": given.name}
        fields |= {"path": str(given.path), "digest": found.built.tree.digest}
        print_json("export/1", {**fields, "bytes": given.bytes_, "notes": list(given.notes)})
        return 0
    how = ", ".join(f"{words.size(count)} {came}" for came, count in given.bytes_.items())
    print(f"{found.target} is {given.name} in {neighbour.to}: {how}")
    print(f"  {given.path}")
    if given.use:
        print(f"  {given.use}")
    return 0


def _give(args: argparse.Namespace, project: Project, neighbour: Neighbour, found: Ready) -> Given:
    store = wire.store_of(project)
    # What goes out under our name is read, not only looked at.
    store.check_blobs(found.files.values(), f"run `cortexbuild sync {found.target}`")
    package = Package(
        found.target,
        found.goal.format,
        found.files,
        found.texts,
        partial(source_file, project, found.target),
    )
    root = (args.root or neighbour.root()).expanduser().absolute()
    name = args.name or neighbour.name(found.target)
    return neighbour.give(store, package, root, name, How(args.copy, args.replace))


def beside(project: Project, origin: str, name: str) -> bytes | None:
    """A file beside the weights of a source on this machine: nobody else has its licence."""
    scheme, _, place = origin.partition(":")
    folder = project.root / Path(place).expanduser()
    if scheme != "path" or not folder.is_dir():
        return None
    try:
        return (folder / name).read_bytes()
    except OSError:
        return None


COMMANDS = (Command("export", "hand a built target to another program", _arguments, _export),)
