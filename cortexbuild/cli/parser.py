"""The command line, read. Only the module of the command that is named is imported."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeAlias

from ..core.document import did_you_mean
from ..errors import UsageError
from ..version import VERSION
from .beside import MANIFEST
from .commands import commands_for
from .commands.command import Command
from .examples import epilog_of, first_steps

Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"


class Parser(argparse.ArgumentParser):
    """One whose complaints are errors like all others, and say what was probably meant."""

    def error(self, message: str) -> NoReturn:
        helped = f"`{self.prog} --help` tells of all that can be said"
        choice = re.search(r"^argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)", message)
        if choice is None:
            raise UsageError(f"{self.prog}: {message}", hint=helped)
        what, given, known = choice.groups()
        near = did_you_mean(given, re.findall(r"'([^']*)'", known), helped)
        said = f"no command `{given}`" if what == "COMMAND" else f"{what} cannot be `{given}`"
        raise UsageError(f"{self.prog}: {said}", hint=near)

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """For what no option or argument takes."""
        first = words[0].partition("=")[0]
        near = did_you_mean(first, list(self._option_string_actions))
        what = "option" if first.startswith("-") else "further argument"
        raise UsageError(
            f"{self.prog}: no {what} `{first}`",
            hint=near or f"`{self.prog} --help` tells of all that can be said",
        )


def parse(words: Sequence[str]) -> argparse.Namespace:
    """A shell that asks what may come next has its answer, and no command is run."""
    if "_ARGCOMPLETE" in os.environ:
        from .completion import complete, words_so_far

        complete(parser_for(words_so_far()))
    words = _command_first(words)
    args, left = parser_for(words).parse_known_args(words)
    if left:
        args.parser.refuse(left)
    return args


def _command_first(words: Sequence[str]) -> Sequence[str]:
    """Options that all commands have may stand before the command, as git and make have `-C`."""
    at, known = 0, _for_all()._option_string_actions
    while at < len(words) and (name := words[at].partition("=")[0]) in known:
        at += 2 if known[name].nargs is None and name == words[at] else 1
    if at >= len(words):
        return words
    end = words.index("--") if "--" in words else len(words)
    return [*words[at:end], *words[:at], *words[end:]]


def parser_for(words: Sequence[str]) -> Parser:
    """What reads these words: it knows the command that they begin with; all, where there are
    none."""
    parser = Parser(prog="cortexbuild", description="Build local language models from cortex.yaml.")
    parser.add_argument("--version", action="version", version=f"cortexbuild {VERSION}")
    _say_when_alone(parser, lambda: f"{parser.description}\n\n{first_steps()}\n")
    subparsers = parser.add_subparsers(metavar="COMMAND")
    for command in commands_for(words):
        _add(subparsers, command)
    return parser


def _say_when_alone(parser: Parser, text: Callable[[], str]) -> None:
    """Who names no command asks what there is, and has not done anything wrong."""

    def run(_: argparse.Namespace) -> int:
        sys.stdout.write(text())
        return 0

    parser.set_defaults(run=run, parser=parser, folder=None, offline=False, no_color=False)


def _add(subparsers: Subparsers, command: Command, above: str = "") -> None:
    name = f"{above}{command.name}"
    sub = subparsers.add_parser(
        command.name, help=command.summary, description=command.summary, epilog=epilog_of(name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[] if command.parts else [_for_all()],
    )  # fmt: skip
    if command.parts:
        _say_when_alone(sub, sub.format_help)
        below = sub.add_subparsers(metavar="COMMAND")
        for part in command.parts:
            _add(below, part, f"{name} ")
        return
    sub.set_defaults(run=command.run, parser=sub)
    command.arguments(sub)


def _for_all() -> Parser:
    """Options that all commands have."""
    parser = Parser(add_help=False)
    parser.add_argument(
        "-m", "--manifest", type=Path, default=Path(MANIFEST), metavar="FILE",
        help="the manifest (default: cortex.yaml)",
    )  # fmt: skip
    parser.add_argument("-C", dest="folder", metavar="DIR", help="as if started in DIR")
    parser.add_argument("--no-color", action="store_true", help="no colours; also NO_COLOR=1")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    return parser


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
