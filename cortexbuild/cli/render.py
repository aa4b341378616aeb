"""Draw what happens: a live table on a terminal, plain lines elsewhere. All of it on stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

from ..core.events import Event, Said, StepChanged, StepMoved
from ..errors import plain
from . import words

if TYPE_CHECKING:
    from rich.table import Table


class Screen(Protocol):
    def emit(self, event: Event) -> None: ...


@contextmanager
def screen(kind: str, *, verbose: bool = False) -> Iterator[Screen]:
    """`kind` is tty, plain, json or none; auto takes the first of these that fits the terminal.

    A `verbose` one also says what starts and what is fresh.
    """
    if kind == "auto":
        live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        kind = "tty" if live else "plain"
    if kind == "tty":
        with LiveScreen(verbose).shown() as shown:
            yield shown
    else:
        plain: dict[str, Screen] = {
            "plain": PlainScreen(verbose), "json": JsonScreen(), "none": Quiet()
        }  # fmt: skip
        yield plain[kind]


class Quiet:
    def emit(self, event: Event) -> None:
        del event


class PlainScreen:
    """One line for each step that ended."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose

    def emit(self, event: Event) -> None:
        line = plain(line_of(event, self._verbose))
        if line:
            print(line, file=sys.stderr, flush=True)


class JsonScreen:
    """One event a line, with its kind; for programs that follow a sync."""

    def emit(self, event: Event) -> None:
        line = {"event": type(event).__name__, **asdict(event)}
        print(json.dumps(line), file=sys.stderr, flush=True)


def line_of(event: Event, verbose: bool = False) -> str:
    match event:
        case StepChanged(change="built"):
            return f"  ok    {event.label}  {words.size(event.size)}  {words.time(event.seconds)}"
        case StepChanged(change="pulled"):
            came = f"{words.size(event.size)} from {event.detail}" if event.detail else "was here"
            return f"  ok    {event.label}  {came}  {words.time(event.seconds)}"
        case StepChanged(change="reused"):
            return f"  same  {event.label}  made meanwhile by another process"
        case StepChanged(change="failed"):
            return f"  FAIL  {event.label}  {event.detail}"
        case StepChanged(change="skipped"):
            return f"  skip  {event.label}  needs a step that failed"
        case StepChanged(change="started") if verbose:
            return f"  run   {event.label}" + (f"  {event.detail}" if event.detail else "")
        case StepChanged(change="fresh") if verbose:
            return f"  fresh {event.label}"
        case Said(text=text):
            return f"  note  {text}"
        case _:
            return ""


class LiveScreen:
    """The running steps, with bytes, rate and time left; finished ones scroll above them."""

    def __init__(self, verbose: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        self._verbose = verbose
        self._console = Console(stderr=True, highlight=False)
        self._running: dict[str, tuple[float, int, int]] = {}
        self._live = Live(
            get_renderable=self._table, console=self._console, transient=True, refresh_per_second=8
        )

    @contextmanager
    def shown(self) -> Iterator[LiveScreen]:
        with self._live:
            yield self

    def emit(self, event: Event) -> None:
        if isinstance(event, StepMoved):
            began = self._running.get(event.label, (time.monotonic(), 0, 0))[0]
            self._running[event.label] = (began, event.done, event.total)
            return
        if isinstance(event, StepChanged):
            if event.change == "started":
                self._running[event.label] = (time.monotonic(), 0, 0)
            else:
                self._running.pop(event.label, None)
        if line := plain(line_of(event, self._verbose)):
            style = "red" if line.startswith("  FAIL") else ""
            self._live.console.print(line, style=style, markup=False)

    def _table(self) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        for label, (began, done, total) in self._running.items():
            spent = time.monotonic() - began
            moved = rate = left = ""
            if total:
                moved = f"{words.size(done)} of {words.size(total)}"
                if done and spent > 0.5:
                    rate = f"{words.size(int(done / spent))}/s"
                    left = f"{words.time(spent * (total - done) / done)} left"
            table.add_row("  run ", label, words.time(spent), moved, rate, left)
        return table
