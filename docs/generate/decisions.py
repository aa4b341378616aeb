"""The list of decisions, by number."""

from __future__ import annotations

from pathlib import Path

INTRODUCTION = """\
# Decisions

One page each: what was decided, what else was tried, and what was measured. A decision that turns
out wrong gets a new page, which names the old one.

"""


def page(folder: Path) -> str:
    return INTRODUCTION + "".join(f"{_entry(path)}\n" for path in sorted(folder.glob("0*.md")))


def _entry(path: Path) -> str:
    title = path.read_text().partition("\n")[0].removeprefix("# ")
    number, _, said = title.partition(".")
    return f"{int(number)}. [{said.strip()}]({path.name})"
