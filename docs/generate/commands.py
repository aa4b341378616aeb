"""The command line, as its own parser has it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from cortexbuild.cli.examples import EXAMPLES
from cortexbuild.cli.parser import parser_for

INTRODUCTION = """\
# Commands

Each command is described in one line, then what it may be told. What it says of targets goes to
stdout, what it says of its work to stderr; `--json` gives one document instead, whose `schema`
names its form. The [exit codes](exit-codes.md) are the same for all.
"""
SHARED = ("-h", "-m", "-C", "--no-color", "--offline")
Found = tuple[str, str, argparse.ArgumentParser]


def leaves(parser: argparse.ArgumentParser, above: str = "") -> Iterator[Found]:
    """Every command that does something: its name, its summary, and what reads its words."""
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        told = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, sub in action.choices.items():
            below = list(leaves(sub, f"{above}{name} "))
            yield from below or [(f"{above}{name}", told[name], sub)]


def page() -> str:
    found = list(leaves(parser_for([])))
    shared = [a for a in found[0][2]._actions if set(SHARED) & set(a.option_strings)]
    parts = [INTRODUCTION, *_table(shared, "every command"), ""]
    for name, summary, parser in found:
        parts += _section(name, summary, parser)
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
        takes = "" if action.nargs == 0 or not action.option_strings else f" {_value(action)}"
        if action.nargs == "?" and action.option_strings:
            takes = f"[={_value(action)}]"
        names = [*action.option_strings[:-1], action.option_strings[-1] + takes] if (
            action.option_strings
        ) else [_usage(action)]  # fmt: skip
        yield f"| {', '.join(f'`{_cell(name)}`' for name in names)} | {_cell(_help(action))} |"


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


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
