"""One content on its way: after drops it goes on, and it never gets larger than it should be."""

from __future__ import annotations

import random

import pytest
from remotes.asking import unseen

from cortexbuild.core.digest import Digest, File, digest_bytes
from cortexbuild.errors import IntegrityError, RemoteError
from cortexbuild.remotes import transfer

CONTENT = random.Random(1).randbytes(100_000)
FILE = File("model.bin", digest_bytes(CONTENT), len(CONTENT))


class Line:
    """A remote behind a bad line: gives `content`, and drops after so many bytes each time."""

    def __init__(self, content=CONTENT, drops=(), passing=True):
        self.content, self.drops, self.passing, self.asked = content, list(drops), passing, []

    def read(self, area, name, start=0):
        self.asked.append(start)
        if self.content is None:
            return None
        return self.pieces(self.content[start:], self.drops.pop(0) if self.drops else None)

    def pieces(self, content, drop):
        for at in range(0, len(content), 1000):
            if drop is not None and at >= drop:
                raise RemoteError("the line is dead", passing=self.passing)
            yield content[at : at + 1000]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.001)


def bring(line, part, came=None):
    came = came if came is not None else []
    return transfer.bring(line, FILE, part, came.append)


def test_after_a_drop_it_goes_on_where_it_stopped(tmp_path):
    line, came = Line(drops=[30_000, 20_000, 0, 10_000]), []
    sums = bring(line, tmp_path / "part", came)
    assert (sums.sha256, sums.size) == (FILE.digest, FILE.size)
    assert line.asked == [0, 30_000, 50_000, 50_000, 60_000]
    assert sum(came) == FILE.size, "no byte came twice"
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_a_line_that_stays_dead_is_given_up_and_what_came_stays(tmp_path):
    with pytest.raises(RemoteError, match="dead"):
        bring(Line(drops=[1000] + [0] * transfer.TRIES), tmp_path / "part")
    line = Line()
    assert bring(line, tmp_path / "part").sha256 == FILE.digest
    assert line.asked == [1000]


def test_while_something_comes_each_time_it_goes_on(tmp_path):
    line = Line(drops=[1000, 0] * 3 * transfer.TRIES)
    assert bring(line, tmp_path / "part").sha256 == FILE.digest


def test_what_will_not_pass_is_asked_once(tmp_path):
    line = Line(drops=[0, 0], passing=False)
    with pytest.raises(RemoteError):
        bring(line, tmp_path / "part")
    assert line.asked == [0]


def test_what_is_not_there(tmp_path):
    assert bring(Line(None), tmp_path / "part") is None


def test_more_than_there_should_be_is_refused_at_once(tmp_path):
    class Endless(Line):
        def pieces(self, content, drop):
            for _ in range(1000):  # endless enough, and no disk is filled if it is not refused
                yield b"x" * 1000

    with pytest.raises(IntegrityError, match="is more than the 100000 bytes"):
        bring(Endless(), tmp_path / "part")
    assert (tmp_path / "part").stat().st_size <= FILE.size


def test_less_is_another_sum(tmp_path):
    sums = bring(Line(CONTENT[:-1]), tmp_path / "part")
    assert sums.size == FILE.size - 1 and sums.sha256 != FILE.digest


def test_what_lies_there_from_another_life_is_not_built_upon(tmp_path):
    (tmp_path / "part").write_bytes(bytes(FILE.size + 5))
    assert bring(Line(), tmp_path / "part").sha256 == FILE.digest


def test_an_empty_content(tmp_path):
    empty = File("empty", Digest(digest_bytes(b"")), 0)
    sums = transfer.bring(Line(b""), empty, tmp_path / "part", unseen)
    assert (sums.sha256, sums.size) == (empty.digest, 0)


def test_what_comes_too_slowly_is_given_up(tmp_path, monkeypatch):
    clock = iter(range(0, 100_000, 50))
    monkeypatch.setattr(transfer.time, "monotonic", lambda: next(clock))
    with pytest.raises(RemoteError, match="KiB/s; given up"):
        bring(Line(), tmp_path / "part")
    with pytest.raises(RemoteError, match="KiB/s; given up"):
        transfer.read_short(Line(), "ac", "0" * 64, len(CONTENT))
