"""Draw what happens: a live table on a terminal, plain lines elsewhere. All of it on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Protocol

from ...core.events import Event, Said, StepChanged, StepLogged
from ...errors import plain
from .. import words
from .live import LiveScreen


class Screen(Protocol):
    def emit(self, event: Event) -> None: ...


@contextmanager
def screen(kind: str, *, verbose: bool = False) -> Iterator[Screen]:
    """`kind` is tty, plain, json or none; auto takes the first of these that fits the terminal.

    A `verbose` one also says what starts, what is fresh, and what steps write to their logs.
    """
    if kind == "auto":
        kind = "tty" if is_lively(sys.stderr.isatty(), os.environ) else "plain"
    if kind == "tty":
        with LiveScreen(partial(line_of, verbose=verbose)).shown() as shown:
            yield shown
    else:
        lines: dict[str, Screen] = {
            "plain": PlainScreen(verbose), "json": JsonScreen(), "none": Quiet()
        }  # fmt: skip
        yield lines[kind]


def is_lively(terminal: bool, environment: Mapping[str, str]) -> bool:
    """Whether somebody looks at a terminal on which lines can be drawn again. The logs of CI are
    read later, though some give it a terminal."""
    can = environment.get("TERM", "") not in ("", "dumb", "unknown")
    return terminal and can and environment.get("CI", "").lower() in ("", "0", "false")


class Quiet:
    def emit(self, event: Event) -> None:
        del event


class PlainScreen:
    """One line for each step that ended."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose

    def emit(self, event: Event) -> None:
        line = line_of(event, self._verbose)
        if line:
            print(line, file=sys.stderr, flush=True)


class JsonScreen:
    """One event a line, with its kind; for programs that follow a sync."""

    def emit(self, event: Event) -> None:
        line = {"event": type(event).__name__, **asdict(event)}
        print(json.dumps(line), file=sys.stderr, flush=True)


def line_of(event: Event, verbose: bool = False) -> str:
    """What a terminal may have of it: labels, logs and reasons tell of foreign files."""
    return plain(_said(event, verbose))


def _said(event: Event, verbose: bool) -> str:
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
        case StepLogged(text=text) if verbose:
            return f"  |     {event.label}  {text}"
        case Said(text=text):
            return f"  note  {text}"
        case _:
            return ""
