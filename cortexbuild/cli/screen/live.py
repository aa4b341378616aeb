"""The running steps on a terminal: one line each, redrawn in place; finished ones scroll above.

A frame is written at once and clears no more than its own lines, so nothing flickers. Each frame
asks anew how large the terminal is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

from ...core.events import Event, StepChanged, StepMoved
from .. import words
from .rate import Rate

if TYPE_CHECKING:
    from rich.text import Text

FRAMES = 5
"""A second."""
IN_BYTES = ("fetch", "convert", "quantize", "push")
"""Kinds of step whose progress counts bytes; others count what nobody needs to know."""
FEW = 4096
"""So few are no bytes of a model."""


class LiveScreen:
    def __init__(self, line_of: Callable[[Event], str]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._line_of = line_of
        self._console = Console(stderr=True, highlight=False)
        self._running: dict[str, Rate] = {}
        self._lock = RLock()  # the frames are drawn by a thread of their own
        self._live = Live(
            get_renderable=self._frame, console=self._console, transient=True,
            refresh_per_second=FRAMES, vertical_overflow="crop",
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip

    @contextmanager
    def shown(self) -> Iterator[LiveScreen]:
        with self._live:
            yield self

    def emit(self, event: Event) -> None:
        now = time.monotonic()
        with self._lock:
            if isinstance(event, StepMoved):
                self._running.setdefault(event.label, Rate(now)).move(now, event.done, event.total)
                if event.done >= event.total and event.label.startswith("push "):
                    self._running.pop(event.label)
                return
            if isinstance(event, StepChanged):
                self._running.pop(event.label, None)
                if event.change == "started":
                    self._running[event.label] = Rate(now)
        if line := self._line_of(event):
            style = "red" if line.startswith("  FAIL") else ""
            self._live.console.print(line, style=style, markup=False, soft_wrap=True)

    def _frame(self) -> Text:
        from rich.text import Text

        now, (width, height) = time.monotonic(), self._console.size
        with self._lock:
            rows = [cells_of(label, rate, now) for label, rate in self._running.items()]
        return Text("\n".join(frame(rows, width, height)), no_wrap=True, overflow="crop")


def cells_of(label: str, rate: Rate, now: float) -> tuple[str, ...]:
    """Label, time, share, bytes, speed and time left; what is not known is empty."""
    share = f"{100 * rate.done // rate.total}%" if rate.total and rate.done else ""
    moved = speed = ""
    if rate.total >= FEW and label.rpartition("/")[2].split(" ")[0].startswith(IN_BYTES):
        moved = f"{words.size(rate.done)} of {words.size(rate.total)}"
        if fast := rate.speed(now):
            speed = f"{words.size(int(fast))}/s"
    left = rate.left(now)
    rest = f"{words.time(left)} left" if left and rate.done < rate.total else ""
    return label, words.time(now - rate.began), share, moved, speed, rest


def frame(rows: Sequence[tuple[str, ...]], width: int, height: int) -> list[str]:
    """The lines of a frame: as many columns as fit, the last ones left out first, but for the time
    that is left; and as many rows as leave one for what scrolls above."""
    room = max(1, height - 2)
    shown = rows[: room - 1] if len(rows) > room else rows
    more = [f"  and {len(rows) - len(shown)} more"] if len(rows) > len(shown) else []
    for columns in ((0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 5), (0, 1, 2, 5), (0, 2, 5), (0, 2), (0,)):
        table = [[row[n] for n in columns] for row in shown]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        if sum(widths) + 2 * len(columns) + 6 < width:
            break
    lines = [
        "  run  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True) if w)
        for row in table
    ]
    return [line.rstrip()[: max(1, width - 1)] for line in [*lines, *more]]
