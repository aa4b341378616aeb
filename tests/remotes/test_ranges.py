from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from cortexbuild.core.ahead import ask_ahead
from cortexbuild.remotes import ranges
from cortexbuild.remotes.ranges import in_order, one_then_many

CONTENT = bytes(range(256)) * 4


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch):
    monkeypatch.setattr(ranges, "RANGE", 10)


def get(at: int, end: int) -> Iterator[bytes]:
    yield CONTENT[at:end][:3]
    yield CONTENT[at:end][3:]


def workers() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("ask")]


@pytest.mark.parametrize("size", [0, 9, 10, 11, 10 * ranges.WINDOW, 10 * ranges.WINDOW + 1, 1024])
def test_all_comes_and_in_order(size):
    first = min(7, size)
    assert b"".join(in_order(get, first, size)) == CONTENT[first:size]


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("start", [0, 100, 1000])
def test_one_stream_gives_way_to_many_ranges_only_where_it_is_slow(monkeypatch, slow, start):
    asked, clock = [], iter(range(10_000))
    monkeypatch.setattr(ranges, "TRIED", 64)
    monkeypatch.setattr(ranges, "ENOUGH", 1000 if slow else 1)  # of pieces of 16 in a second each
    monkeypatch.setattr(ranges.time, "perf_counter", lambda: next(clock))

    def count(at: int, end: int) -> Iterator[bytes]:
        asked.append(at)
        return get(at, end)

    stream = (CONTENT[at : at + 16] for at in range(start, len(CONTENT), 16))
    assert b"".join(one_then_many(stream, count, start, len(CONTENT))) == CONTENT[start:]
    assert asked[:1] == ([start + 64] if slow and start < 1000 else [])


def test_no_more_than_a_window_is_ahead_of_what_is_taken():
    asked = []

    def count(at: int, end: int) -> Iterator[bytes]:
        asked.append(at)
        return get(at, end)

    with closing(in_order(count, 0, len(CONTENT))) as pieces:
        for taken, _ in enumerate(pieces):
            assert len(asked) <= taken // 2 + 1 + ranges.WINDOW  # each comes in two pieces
    assert asked == sorted(asked)


def test_an_error_comes_where_the_bytes_would_have_come():
    def fail(at: int, end: int) -> Iterator[bytes]:
        if at == 50:
            raise OSError("lost")
        return get(at, end)

    pieces = in_order(fail, 0, len(CONTENT))
    assert b"".join(next(pieces) for _ in range(10)) == CONTENT[:50]
    with pytest.raises(OSError, match="lost"):
        next(pieces)
    assert not workers()


def test_closing_ends_what_is_coming():
    begun, go_on, ended = threading.Event(), threading.Event(), []

    def long(at: int, end: int) -> Iterator[bytes]:
        if at == 0:
            yield b"first"
            return
        begun.set()
        assert go_on.wait(60)
        for _ in range(100):
            time.sleep(0.001)
            yield b"x"
        ended.append(at)

    pieces = in_order(long, 0, 100)
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
        list(ask_ahead(ask, range(1000), 16))
    assert len(asked) <= 16
