"""The command line, read. Only the module of the command that is named is imported."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from ..version import VERSION
from .beside import MANIFEST
from .commands import commands_for
from .commands.command import Command
from .examples import epilog_of

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def parse(words: Sequence[str]) -> argparse.Namespace:
    return parser_for(words).parse_args(words)


def parser_for(words: Sequence[str]) -> argparse.ArgumentParser:
    """What reads these words: it knows the command that they begin with; all, where there are
    none."""
    parser = argparse.ArgumentParser(
        prog="cortexbuild", description="Build local language models from cortex.yaml."
    )
    parser.add_argument("--version", action="version", version=f"cortexbuild {VERSION}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in commands_for(words):
        _add(subparsers, command)
    return parser


def _add(subparsers: Subparsers, command: Command, above: str = "") -> None:
    name = f"{above}{command.name}"
    sub = subparsers.add_parser(
        command.name, help=command.summary, description=command.summary, epilog=epilog_of(name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    if command.parts:
        below = sub.add_subparsers(required=True, metavar="COMMAND")
        for part in command.parts:
            _add(below, part, f"{name} ")
        return
    sub.set_defaults(run=command.run)
    sub.add_argument(
        "-m", "--manifest", type=Path, default=Path(MANIFEST), metavar="FILE",
        help="the manifest (default: cortex.yaml)",
    )  # fmt: skip
    sub.add_argument("-C", dest="folder", metavar="DIR", help="as if started in DIR")
    sub.add_argument("--no-color", action="store_true", help="no colours; also NO_COLOR=1")
    sub.add_argument("--offline", action="store_true", help="never use the network")
    command.arguments(sub)


def every_command() -> dict[str, argparse.ArgumentParser]:
    """What reads the words of each command that does something, by its whole name."""
    return _below(parser_for([]), "")


def _below(parser: argparse.ArgumentParser, above: str) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                whole = f"{above}{name}"
                found |= _below(sub, f"{whole} ") or {whole: sub}
    return found
