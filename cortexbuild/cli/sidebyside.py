"""Texts of several models: columns where there is room, else one under the other."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from ..app.compare import Written
from . import words

NARROWEST = 32
"""Characters of a column in which prose can still be read."""


def show(written: Sequence[Written]) -> None:
    width = shutil.get_terminal_size().columns
    if sys.stdout.isatty() and width >= len(written) * NARROWEST:
        _columns(written, width)
    else:
        _stacked(written)


def facts(one: Written) -> str:
    """`3.1 MiB, 41 tokens/s, KL 0.012`: how large, how fast, and how far from its source."""
    speed = f"{one.tokens / one.seconds:.3g} tokens/s" if one.tokens and one.seconds else ""
    kl = f"KL {one.kl:.3g}" if one.kl is not None else ""
    said = (words.size(one.size), words.time(one.seconds), speed, kl)
    return ", ".join(part for part in said if part)


def _stacked(written: Sequence[Written]) -> None:
    for number, one in enumerate(written):
        if number:
            print()
        print(f"== {one.target}  {facts(one)}")
        print(one.text)


def _columns(written: Sequence[Written], width: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, expand=True, show_footer=True, padding=(0, 1))
    for one in written:
        # Text, not str: a model may well write what rich would take for markup.
        table.add_column(
            Text(one.target), footer=Text(facts(one), style="dim"), ratio=1, overflow="fold"
        )
    table.add_row(*(Text(one.text) for one in written))
    Console(width=width, highlight=False).print(table)
