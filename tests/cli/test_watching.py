"""What changes is built again, once, and when it has come to rest."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from cortexbuild.cli.watching import look, rounds

LOCK, SOURCE = Path("/p/cortex.lock"), Path("/p/weights")


class Clock:
    """A world that changes at given times: `changes` are (seconds, path, what its stat says)."""

    def __init__(self, *changes):
        self.now, self.changes = 0.0, list(changes)
        self.files = {SOURCE: (0,)}

    def look(self):
        for at, path, told in self.changes:
            if at <= self.now:
                self.files[path] = told
        return dict(self.files)

    def sleep(self, seconds):
        assert self.now < 1000, "nothing changes any more"
        self.now += seconds


def test_a_change_makes_a_round_when_it_has_come_to_rest():
    clock = Clock((10, SOURCE, (1,)), (10.8, SOURCE, (2,)), (11.6, SOURCE, (3,)))
    found = rounds(clock.look, LOCK, 1.0, clock.sleep)
    assert next(found)[SOURCE] == (0,)
    assert next(found)[SOURCE] == (3,)
    assert 12.6 <= clock.now < 15
    with pytest.raises(AssertionError, match="nothing changes"):
        next(found)


def test_what_changes_while_a_round_runs_is_not_missed():
    clock = Clock((5, SOURCE, (1,)))
    found = rounds(clock.look, LOCK, 1.0, clock.sleep)
    next(found)
    clock.now = 9  # the build took so long
    assert next(found)[SOURCE] == (1,) and clock.now < 12


def test_the_lock_that_a_round_writes_is_no_change_and_one_that_a_person_writes_is():
    clock = Clock((5, LOCK, (1,)), (50, LOCK, (2,)))
    found = rounds(clock.look, LOCK, 1.0, clock.sleep)
    next(found)
    clock.now = 9
    assert next(found)[LOCK] == (2,) and clock.now > 50


def test_a_file_that_goes_is_a_change():
    clock = Clock()
    found = rounds(clock.look, LOCK, 1.0, clock.sleep)
    next(found)
    clock.files.clear()
    assert next(found) == {}


def test_what_is_watched_is_what_a_build_looks_at(space):
    space.sync()
    names = {path.relative_to(space.root).as_posix() for path in look(space.root / "cortex.yaml")
             if path.is_relative_to(space.root)}  # fmt: skip
    assert {"cortex.yaml", "cortex.lock", "recipes/short.yaml", "weights/config.json"} <= names
    assert not [name for name in names if name.startswith(".cortex")]
    before = look(space.root / "cortex.yaml")
    space.write("weights/config.json", '{"text": "another"}')
    assert look(space.root / "cortex.yaml") != before
    space.write("cortex.yaml", "models: [")
    assert space.root / "cortex.yaml" in look(space.root / "cortex.yaml")


def test_it_builds_what_changes_and_goes_on_after_what_fails(space):
    with space.start("watch", "--settle", "0.05") as process:
        lines = iter(process.stdout.readline, "")
        try:
            assert "up to date; watching" in next(lines) and space.text() == "HELL"
            space.write("weights/config.json", "{")
            assert "failed; watching" in next(lines)
            space.write("weights/config.json", '{"text": "good bye"}')
            assert "up to date; watching" in next(lines) and space.text() == "GOOD"
        finally:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "") and "error: " in err
