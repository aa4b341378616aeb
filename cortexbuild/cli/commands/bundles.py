"""`bundle`: results as one file, for machines that reach no network."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from ...app.share import parcels
from ...errors import ToolError, UsageError
from ...remotes import bundle
from ...remotes.keys import signing_key, trusted_keys
from ...store.storelock import store_lock
from .. import wire, words
from ..sharing import keys_folder
from .command import (
    Command,
    add_json,
    add_key,
    add_targets,
    open_project,
    open_store,
    print_json,
    trusted_by,
)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE",
        help="a tar; compressed with a name that ends in .zst",
    )  # fmt: skip
    parser.add_argument(
        "--final", action="store_true", help="only the targets, and not what they were made of"
    )
    add_key(parser)
    add_json(parser)


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")
    add_json(parser)


def _export(args: argparse.Namespace) -> int:
    project = open_project(args)
    key = signing_key(keys_folder(), args.key)
    if key is None:
        raise UsageError(
            "there is no key to sign with", hint="`cortexbuild keys new NAME` makes one"
        )
    found = parcels(project, project.plan.select(args.targets), closure=not args.final)
    if found.left_out:
        said = "; ".join(f"{target}: {why}" for target, why in found.left_out.items())
        raise ToolError(f"not exported: {said}", hint="run `cortexbuild sync` first")
    trusted = trusted_keys(keys_folder(), project.manifest.trust)
    sent = [(one.trace, one.whole) for one in found.parcels]
    store = wire.store_of(project)
    with store_lock(store.root, "bundle export", _say):
        made = bundle.export(args.output, sent, store, key, trusted, _unseen)
    _tell(made, "export", args.json)
    return 0


def _import(args: argparse.Namespace) -> int:
    store = open_store()
    trusted = trusted_keys(keys_folder(), trusted_by(args.manifest))
    if not args.file.is_file():
        raise UsageError(
            f"there is no file {args.file}",
            hint="`cortexbuild bundle export FILE` writes one, on a machine that has the targets",
        )
    with store_lock(store.root, "bundle import", _say):
        made = bundle.bring_in(args.file, store, trusted, _unseen)
    _tell(made, "import", args.json)
    return 0


def _tell(made: bundle.Bundled, what: str, as_json: bool) -> None:
    if as_json:
        print_json(f"bundle-{what}/1", asdict(made))
        return
    files = words.count(made.contents, "file")
    records = words.count(made.records, "record")
    print(f"{records} and {files} ({words.size(made.size)})", file=sys.stderr)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _unseen(count: int) -> None:
    del count


COMMANDS = (
    Command("bundle", "results as one file, for machines without a network", parts=(
        Command("export", "write targets that are built, and all they stand on",
                _export_arguments, _export),
        Command("import", "take in what a bundle has; then `sync --offline`", _import_arguments,
                _import),
    )),
)  # fmt: skip
