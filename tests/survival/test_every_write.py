"""Every fault at every write of whole stories: nothing half is seen, nothing finished is lost.

All of it takes minutes and is `make survive`; here a share of it, the same in every run.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from survival.faulty import FAULTS, Fault, Faulty
from survival.stories import (
    BUG,
    STORIES,
    Inline,
    Story,
    between,
    check_visible,
    ended,
    left_over,
    lock_text,
    of_the_dead,
    play,
    prepared,
    reran,
    say,
    shown,
)
from workspace import Workspace

from cortexbuild.cli import wire

SHARE = float(os.environ.get("CORTEX_SURVIVE", "0.2"))
"""Percent of the faults that are tried."""


class Trial:
    """A story that can be played again from its beginning, each time with another fault."""

    def __init__(self, folder: Path, story: Story) -> None:
        self.story, self.place, self.kept = story, folder / "it", folder / "kept"
        self.place.mkdir()
        prepared(self.place, story)
        subprocess.run(["cp", "-a", self.place, self.kept], check=True)
        self.space = Workspace(self.place / "project", self.place / "home", inside=True)
        self.former, self.locks = shown(self.space), {lock_text(self.space)}
        disk = Faulty(self.place)
        done = play(self.space, story, disk)
        assert done.code == 0, done.err
        again = ended(self.space, *story.again)
        assert again.code == 0 and reran(again) == []
        self.calls = disk.calls
        self.right, self.lock, self.keys = shown(self.space), lock_text(self.space), self.recorded()
        self.locks.add(self.lock)

    def recorded(self) -> set[str]:
        return {path.stem for path in (self.space.store / "ac").rglob("*.json")}

    def start_anew(self) -> None:
        subprocess.run(["rm", "-rf", self.place], check=True)
        subprocess.run(["cp", "-a", self.kept, self.place], check=True)

    def survives(self, at: int, fault: Fault) -> None:
        self.start_anew()
        disk = Faulty(self.place, at, fault, between(self.space))
        came = play(self.space, self.story, disk)
        assert BUG not in came.err, came.err
        if fault.told:
            assert came.code in (0, 130), came.err  # 0: in a thread, or when all was done
        elif came.code:
            assert "hint:" in came.err, came.err
            assert str(self.place) in came.out + came.err, came.out + came.err
        check_visible(self.space, self.former, self.locks)
        missing = self.keys - self.recorded()
        of_the_dead(self.place)
        again = ended(self.space, *self.story.again)
        assert again.code == 0, again.err
        assert len(reran(again)) <= (0 if self.story.other_home else len(missing)), "work was lost"
        check_visible(self.space, self.right, {self.lock})
        assert (shown(self.space), lock_text(self.space)) == (self.right, self.lock)
        assert left_over(self.space) == []


def tried(story: Story, at: int, fault: Fault) -> bool:
    chance = hashlib.sha256(f"{story.name} {at} {fault.name}".encode()).digest()
    return int.from_bytes(chance[:4], "big") % 10_000 < SHARE * 100


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_whatever_befalls_a_write_nothing_half_is_seen_and_nothing_is_lost(
    story, tmp_path, monkeypatch
):
    monkeypatch.setattr(wire, "open_executor", Inline)
    trial = Trial(tmp_path, story)
    faults = [
        (at, fault)
        for at, call in enumerate(trial.calls)
        for fault in FAULTS
        if fault.can_befall(call.partition(" ")[0])
    ]
    wrong = []
    chosen = [(at, fault) for at, fault in faults if tried(story, at, fault)]
    for at, fault in chosen:
        try:
            trial.survives(at, fault)
        except (AssertionError, OSError) as error:
            wrong.append(f"{say(fault, at, trial.calls)}: {error}")
    print(f"{story.name}: {len(chosen)} of {len(faults)} faults, at {len(trial.calls)} calls")
    assert len(chosen) > 0
    assert not wrong, f"{len(wrong)} of {len(chosen)}\n" + "\n".join(wrong[:40])
