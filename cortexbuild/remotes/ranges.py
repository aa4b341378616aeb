"""Many requests at a time: ranges of one content, in their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import TypeAlias

from ..core.ahead import ask_ahead
from ..core.remote import Pieces

RANGE = 4 << 20
WINDOW = 4
"""Ranges on their way at a time; what has come and was not taken yet is in memory, some 30 MB."""
TRIED = 32 << 20
ENOUGH = 150 << 20
"""Bytes, and bytes a second. One connection to a bucket far away carries a part of what a line can,
and then several ranges are read side by side; but each costs a request, and a bucket that is near
sends a single stream faster. So the first bytes tell which it is."""

ASKED_AT_ONCE = 16

GetRange: TypeAlias = Callable[[int, int], Iterable[bytes]]
"""The bytes from a start up to an end, in pieces."""


def one_then_many(stream: Iterator[bytes], get: GetRange, start: int, size: int) -> Pieces:
    """What is from `start` up to `size`: of the one `stream`, and if that is slow, of many ranges
    after its first bytes. Time counts that is spent waiting for it, not what its pieces are for."""
    at, waited = start, 0.0
    while True:
        began = time.perf_counter()
        piece = next(stream, None)
        waited += time.perf_counter() - began
        if piece is None:
            return
        yield piece
        at += len(piece)
        came = at - start
        if came >= TRIED and came < ENOUGH * waited and size - at > RANGE * WINDOW:
            break
    close = getattr(stream, "close", None)
    if close is not None:
        close()
    yield from in_order(get, at, size)


def in_order(get: GetRange, start: int, size: int) -> Pieces:
    """What is from `start` up to `size`, several ranges at a time.

    An error of `get` comes where its bytes would have. Closing waits for the pieces that are just
    coming, no longer.
    """
    closed = Event()

    def whole(at: int) -> list[bytes]:
        pieces = []
        for piece in get(at, min(at + RANGE, size)):
            if closed.is_set():
                break
            pieces.append(piece)
        return pieces

    ranges = ask_ahead(whole, range(start, size, RANGE), WINDOW)
    try:
        for pieces in ranges:
            yield from pieces
    finally:
        closed.set()
        ranges.close()


def nothing() -> Pieces:
    """The content from its end on."""
    yield from ()
