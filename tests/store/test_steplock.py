"""The lock of a step, and what becomes of its file."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from cortexbuild.store.local import LocalStore
from cortexbuild.store.locks import is_held
from cortexbuild.store.steplock import step_lock, sweep_step_locks
from cortexbuild.store.system import System, replaced

KEY, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def root(tmp_path):
    with closing(LocalStore(tmp_path)) as store:
        yield store.root


def lock_of(root: Path, key: str) -> Path:
    return root / "locks" / f"{key}.lock"


class Between(System):
    """Just after a file was opened for the first time, another process does what `of` does."""

    def __init__(self, of) -> None:
        self._of = [of]

    def handle(self, path: Path, flags: int, mode: int) -> int:
        handle = super().handle(path, flags, mode)
        if self._of:
            self._of.pop()(path)
        return handle


def test_locks_that_nobody_holds_are_swept_and_no_other(root):
    with step_lock(root, OTHER, "m:t/fetch", print):
        pass
    with step_lock(root, KEY, "m:t/convert", print):
        sweep_step_locks(root)
        assert not lock_of(root, OTHER).exists()
        assert is_held(lock_of(root, KEY))
    sweep_step_locks(root)
    assert list((root / "locks").iterdir()) == []


def test_a_collection_leaves_no_locks_of_steps(space):
    space.run("sync")
    locks = space.store / "locks"
    assert len([path for path in locks.iterdir() if len(path.stem) == 64]) == 5
    space.run("cache", "gc", "--keep", "1GB")
    assert sorted(path.name for path in locks.iterdir()) == ["door.lock", "holders", "store.lock"]


def test_who_opened_a_lock_that_was_swept_takes_the_one_that_has_its_name(root):
    with (
        replaced(Between(lambda path: sweep_step_locks(root))),
        step_lock(root, KEY, "m:t/convert", print),
    ):
        assert is_held(lock_of(root, KEY))


def test_a_lock_that_came_in_the_place_of_a_swept_one_stays(root):
    with step_lock(root, KEY, "m:t/convert", print):
        pass

    def anew(path: Path) -> None:
        path.unlink()
        os.close(os.open(path, os.O_CREAT))

    with replaced(Between(anew)):
        sweep_step_locks(root)
    assert lock_of(root, KEY).exists()
