"""The command line, as its own parser has it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from schemas import one_line

from cortexbuild.cli.examples import EXAMPLES
from cortexbuild.cli.parser import every_command

INTRODUCTION = """\
# Commands

Each command is described in one line, then what it may be told. What it says of targets goes to
stdout, what it says of its work to stderr; `--json` gives one document instead, whose `schema`
names its form. The [exit codes](exit-codes.md) are the same for all.
"""
SHARED = ("-h", "-m", "-C", "--no-color", "--offline")


def page() -> str:
    found = every_command()
    shared = [a for a in found["sync"]._actions if set(SHARED) & set(a.option_strings)]
    parts = [INTRODUCTION, *_table(shared, "every command"), ""]
    for name, parser in found.items():
        parts += _section(name, parser.description or "", parser)
    return "\n".join(parts)


def _section(name: str, summary: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    own = [a for a in parser._actions if not set(SHARED) & set(a.option_strings)]
    words = [_usage(action) for action in sorted(own, key=lambda a: not a.option_strings)]
    options = " [OPTION…]" if any(a.option_strings and not a.required for a in own) else ""
    line = " ".join(["cortexbuild", name + options, *filter(None, words)])
    yield from (f"## {name}", "", f"{summary[0].upper()}{summary[1:]}.", "", "```text", line, "```")
    if own:
        yield from ("", *_table(own, "option" if options else "argument"))
    examples = [f"{said}  # {what}" for said, what in EXAMPLES.get(name, ())]
    if examples:
        yield from ("", "<!-- not run: of other projects -->", "```sh", *examples, "```")
    yield ""


def _usage(action: argparse.Action) -> str:
    """A word of the usage; nothing of an option that may be left out."""
    if action.option_strings:
        return f"{action.option_strings[-1]} {_value(action)}" if action.required else ""
    name = _value(action)
    shapes = {"*": f"[{name}…]", "+": f"{name}…", "?": f"[{name}]"}
    return shapes.get(str(action.nargs), name)


def _table(actions: list[argparse.Action], what: str) -> Iterator[str]:
    yield from (f"| {what} | |", "|---|---|")
    for action in actions:
        *others, name = action.option_strings or [_usage(action)]
        if action.option_strings and action.nargs == "?":
            name += f"[={_value(action)}]"
        elif action.option_strings and action.nargs != 0:
            name += f" {_value(action)}"
        names = ", ".join(f"`{one_line(one)}`" for one in (*others, name))
        yield f"| {names} | {one_line(_help(action))} |"


def _help(action: argparse.Action) -> str:
    said = (action.help or "").replace("%(default)s", str(action.default))
    tells = isinstance(action.default, int | float) and not isinstance(action.default, bool)
    if tells and action.nargs != 0 and "default" not in said:
        said = f"{said}; {action.default} if left out" if said else f"{action.default} if left out"
    return said


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
