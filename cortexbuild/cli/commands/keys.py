"""`keys`: who signs what is shared, and who is believed."""

from __future__ import annotations

import argparse
import sys

from ...errors import UsageError
from ...remotes import keys
from ..sharing import keys_folder
from .command import Command, add_json, print_json, print_rows, trusted_by


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="such as ci-2026")
    add_json(parser)


def _trust_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="NAME:BASE64")
    add_json(parser)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument(
        "--secret", action="store_true", help="the secret half, for CORTEX_SIGNING_KEY in CI"
    )


def _new(args: argparse.Namespace) -> int:
    key = keys.new_key(keys_folder(), args.name)
    _tell(keys.public_text(key), args.json)
    print(
        "made; its secret stays on this machine. For others to believe it, in cortex.yaml:\n"
        f'trust: ["{keys.public_text(key)}"]',
        file=sys.stderr,
    )
    return 0


def _list(args: argparse.Namespace) -> int:
    own = {key.name for key in keys.own_keys(keys_folder())}
    manifest = trusted_by(args.manifest)
    rows = []
    for name in keys.trusted_keys(keys_folder(), manifest):
        said = "cortex.yaml" if name in {text.partition(":")[0] for text in manifest} else "here"
        rows.append((name, "signs" if name in own else "", f"trusted by {said}"))
    if args.json:
        listed = [{"name": n, "secret": bool(s), "trusted": t} for n, s, t in rows]
        print_json("keys/1", {"keys": listed})
    else:
        print_rows(rows)
    return 0


def _trust(args: argparse.Namespace) -> int:
    new = keys.trust(keys_folder(), args.key)
    if args.json:
        _tell(args.key, True)
    print("trusted from now on" if new else "was trusted already", file=sys.stderr)
    return 0


def _export(args: argparse.Namespace) -> int:
    found = [key for key in keys.own_keys(keys_folder()) if key.name == args.name]
    if not found:
        raise UsageError(
            f"there is no key `{args.name}` here",
            hint="`cortexbuild keys list` shows those that are here",
        )
    _tell(keys.secret_text(found[0]) if args.secret else keys.public_text(found[0]), args.json)
    return 0


def _tell(text: str, as_json: bool) -> None:
    """A key as it is written everywhere: its name, a colon, and the key itself."""
    if as_json:
        print_json("key/1", {"name": text.partition(":")[0], "key": text})
    else:
        print(text)


COMMANDS = (
    Command("keys", "who signs what is shared, and who is believed", parts=(
        Command("new", "make a key to sign with, on this machine", _name, _new),
        Command("list", "the keys of this machine, and those that are trusted", add_json, _list),
        Command("trust", "believe a public key, on this machine", _trust_arguments, _trust),
        Command("export", "print a public key, to be trusted by others", _export_arguments,
                _export),
    )),
)  # fmt: skip
