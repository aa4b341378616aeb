"""How an entry of ours is written in YAML: a table over several lines, each of its parts on one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml


def entry_lines(entry: tuple[str, Any], column: int, step: int, notes: Sequence[str]) -> list[str]:
    """With `notes` as comments above it."""
    key, value = entry
    lines = [f"# {one_line(note)}" for note in notes]
    if isinstance(value, dict) and value:
        lines += [f"{inline(key)}:"]
        lines += [" " * step + entry_line(inner) for inner in value.items()]
    else:
        lines += [entry_line(entry)]
    return [" " * column + line for line in lines]


def entry_line(entry: tuple[str, Any]) -> str:
    return f"{inline(entry[0])}: {inline(entry[1])}"


def inline(value: Any) -> str:
    """As it stands on one line. A word that would be read otherwise has quotes."""
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=1 << 30, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def one_line(note: str) -> str:
    """Names of files and words of others may have line breaks, behind which no comment goes on."""
    return " ".join(note.split())
