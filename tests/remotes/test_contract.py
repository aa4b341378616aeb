"""What every kind of remote does, against the real thing: a folder, nginx as the guide has it, S3."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from remotes.asking import unseen
from remotes.conftest import ALL_KINDS, Place

from cortexbuild.core.remote import Area, Remote
from cortexbuild.remotes import ranges

pytestmark = pytest.mark.parametrize("kind", ALL_KINDS)
LARGE = random.Random(7).randbytes(20 << 20)
"""Of five ranges, and of three parts, the last of which is not whole."""


@pytest.fixture
def remote(kind, place: Callable[[str], Place], monkeypatch):
    where = place(kind)
    for name, value in where.environment.items():
        monkeypatch.setenv(name, value)
    remote = where.open()
    yield remote
    if kind == "s3-real":
        for area in ("cas", "ac", "roots"):
            for found in list(remote.entries(area)):
                remote.remove(area, found.name)


def named(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


A, B, C = (named(letter) for letter in "abc")


@pytest.fixture
def put(remote: Remote, tmp_path: Path) -> Callable[..., bool]:
    def put(area: Area, name: str, content: bytes, only_new: bool = False) -> bool:
        source = tmp_path / f"source-{threading.get_ident()}"
        source.write_bytes(content)
        return remote.write(area, name, source, unseen, only_new=only_new)

    return put


def content(remote: Remote, area: Area, name: str, start: int = 0) -> bytes:
    pieces = remote.read(area, name, start)
    assert pieces is not None
    return b"".join(pieces)


def workers() -> list[str]:
    return [
        thread.name for thread in threading.enumerate() if thread.name.startswith(("ranges", "ask"))
    ]


def test_the_sizes_of_what_is_there(remote, put):
    put("cas", A, b"four")
    put("cas", B, b"")
    assert remote.sizes("cas", [C, B, A]) == {A: 4, B: 0}
    assert remote.sizes("ac", [A]) == {}
    assert remote.sizes("cas", []) == {}
    assert not workers()


def test_what_was_written_is_read(remote, put):
    assert put("cas", A, b"some content") is True
    assert content(remote, "cas", A) == b"some content"


@pytest.mark.parametrize(
    ("start", "rest"), [(0, b"some content"), (5, b"content"), (11, b"t"), (12, b""), (99, b"")]
)
def test_reading_goes_on_from_anywhere(remote, put, start, rest):
    put("cas", A, b"some content")
    assert content(remote, "cas", A, start) == rest


def test_nothing_is_a_content_too(remote, put):
    assert put("cas", A, b"") is True
    assert content(remote, "cas", A) == b""
    assert content(remote, "cas", A, 1) == b""


@pytest.mark.parametrize("enough", [0, 1 << 60], ids=["near", "far"])
def test_a_large_content_comes_in_order(remote, put, enough, monkeypatch):
    monkeypatch.setattr(ranges, "TRIED", 1 << 20)
    monkeypatch.setattr(ranges, "ENOUGH", enough)
    monkeypatch.setattr(ranges, "RANGE", 1 << 20)
    put("cas", A, LARGE)
    assert content(remote, "cas", A) == LARGE
    for start in (1, ranges.RANGE, (5 << 20) + 5, len(LARGE) - 1):
        assert content(remote, "cas", A, start) == LARGE[start:]
    assert not workers()


def test_a_write_tells_how_much_was_moved(remote, tmp_path):
    source, told = tmp_path / "source", []
    source.write_bytes(LARGE)
    remote.write("cas", A, source, told.append)
    assert sum(told) == len(LARGE)
    assert len(told) > 2


def test_whoever_watches_a_write_may_end_it(remote, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(LARGE)

    class Enough(Exception):
        pass

    def enough(count: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        remote.write("cas", A, source, enough)
    assert remote.sizes("cas", [A]) == {}


def test_reading_may_end_early(remote, put):
    put("cas", A, LARGE)
    for taken in (0, 1, 2):
        pieces = remote.read("cas", A)
        assert pieces is not None
        with closing(pieces):
            for _ in range(taken):
                assert next(pieces)
        assert not workers()
        assert list(pieces) == []
    assert content(remote, "cas", A) == LARGE


def test_there_is_no_content_of_another_name(remote, put):
    put("cas", A, b"some content")
    assert remote.read("cas", B) is None
    assert remote.read("cas", B, 5) is None
    assert remote.read("ac", A) is None


def test_the_first_stays_where_only_new_is_asked_for(remote, put):
    assert put("ac", A, b"first", only_new=True) is True
    assert put("ac", A, b"second", only_new=True) is False
    assert content(remote, "ac", A) == b"first"


def test_another_content_replaces_all_of_the_first(remote, put):
    put("ac", A, LARGE)
    put("ac", A, b"second")
    assert content(remote, "ac", A) == b"second"
    assert remote.sizes("ac", [A]) == {A: 6}


def test_entries_are_all_that_is_there(remote, put):
    assert list(remote.entries("cas")) == []
    put("cas", A, b"four")
    put("cas", B, b"")
    put("ac", C, b"another area")
    found = sorted(remote.entries("cas"), key=lambda entry: entry.size)
    assert [(entry.name, entry.size) for entry in found] == [(B, 0), (A, 4)]
    assert all(entry.modified > 1_700_000_000 for entry in found)
    assert list(remote.entries("roots")) == []


def test_what_is_removed_is_gone_and_may_be_removed_again(remote, put):
    put("cas", A, b"four")
    put("cas", B, b"stays")
    remote.remove("cas", A)
    remote.remove("cas", A)
    assert remote.sizes("cas", [A, B]) == {B: 5}
    assert remote.read("cas", A) is None


def test_many_writers_of_one_name_leave_one_whole_content(remote, put):
    contents = [bytes([number]) * (200_000 + number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda one: put("cas", A, one), contents))
    assert content(remote, "cas", A) in contents


def test_of_many_first_writers_one_content_stays(remote, put, kind):
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: put("ac", A, b"%d" % n, only_new=True), range(8)))
    winners = [b"%d" % n for n, first in enumerate(won) if first]
    assert content(remote, "ac", A) in winners
    if kind.startswith("http"):  # it cannot look and write in one step: of those at once, the last
        assert put("ac", A, b"later", only_new=True) is False
        assert content(remote, "ac", A) in winners
    else:
        assert len(winners) == 1
