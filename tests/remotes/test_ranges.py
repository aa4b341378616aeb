from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from cortexbuild.remotes import ranges
from cortexbuild.remotes.ranges import ask_all, in_order

CONTENT = bytes(range(256)) * 4


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch):
    monkeypatch.setattr(ranges, "RANGE", 10)


def get(at: int, end: int) -> Iterator[bytes]:
    yield CONTENT[at:end][:3]
    yield CONTENT[at:end][3:]


def workers() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("ranges")]


@pytest.mark.parametrize("size", [0, 9, 10, 11, 10 * ranges.WINDOW, 10 * ranges.WINDOW + 1, 1024])
def test_all_comes_and_in_order(size):
    first = min(7, size)
    assert b"".join(in_order([CONTENT[:first]], get, first, size)) == CONTENT[:size]


def test_no_more_than_a_window_is_ahead_of_what_is_taken():
    asked = []

    def count(at: int, end: int) -> Iterator[bytes]:
        asked.append(at)
        return get(at, end)

    with closing(in_order([], count, 0, len(CONTENT))) as pieces:
        for taken, _ in enumerate(pieces):
            assert len(asked) <= taken // 2 + 1 + ranges.WINDOW  # each comes in two pieces
    assert asked == sorted(asked)


def test_an_error_comes_where_the_bytes_would_have_come():
    def fail(at: int, end: int) -> Iterator[bytes]:
        if at == 50:
            raise OSError("lost")
        return get(at, end)

    pieces = in_order([], fail, 0, len(CONTENT))
    assert b"".join(next(pieces) for _ in range(10)) == CONTENT[:50]
    with pytest.raises(OSError, match="lost"):
        next(pieces)
    assert not workers()


def test_closing_ends_what_is_coming():
    begun, go_on, ended = threading.Event(), threading.Event(), []

    def long(at: int, end: int) -> Iterator[bytes]:
        begun.set()
        assert go_on.wait(60)
        for _ in range(100):
            time.sleep(0.001)
            yield b"x"
        ended.append(at)

    pieces = in_order([b"first"], long, 0, 100)
    assert next(pieces) == b"first" and begun.wait(60)
    go_on.set()
    pieces.close()
    assert not workers() and not ended


def test_after_an_error_nothing_more_is_asked():
    asked = []

    def ask(number: int) -> int:
        asked.append(number)
        raise OSError(f"no {number}")

    with pytest.raises(OSError, match="no 0"):
        list(ask_all(ask, range(1000)))
    assert len(asked) < 1000
