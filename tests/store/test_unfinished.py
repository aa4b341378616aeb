"""Files of a step that was cut off: found again when they are whole, and only by the same step."""

from __future__ import annotations

import pytest

from cortexbuild.core.digest import digest_bytes
from cortexbuild.core.step import StepKey
from cortexbuild.store.census import debris
from cortexbuild.store.local import LocalStore
from cortexbuild.store.unfinished import Unfinished

KEY, OTHER = StepKey("1" * 64), StepKey("2" * 64)


@pytest.fixture
def store(tmp_path):
    store = LocalStore(tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def unfinished(store, tmp_path):
    def start(key=KEY, *, anew=False):
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        return Unfinished(store, key, scratch, anew=anew)

    return start


def write(run, name, *pieces):
    with run.create(name) as file:
        for piece in pieces:
            file.write(piece)


def test_what_is_taken_is_in_the_store_under_its_sum_and_nothing_is_left(store, unfinished):
    run = unfinished()
    write(run, "a", b"one ", b"two")
    (file,) = run.take()
    assert (file.path, file.digest, file.size) == ("a", digest_bytes(b"one two"), 7)
    assert store.blob(file.digest).read_bytes() == b"one two"
    assert store.check_blob(file)
    assert not list((store.root / "partial").iterdir())


def test_a_finished_file_outlives_its_run_and_is_part_of_the_next(unfinished):
    write(unfinished(), "a", b"long work")
    run = unfinished()
    assert run.has("a") and not run.has("b")
    write(run, "b", b"more")
    assert sorted(file.path for file in run.take()) == ["a", "b"]


def test_a_file_that_nobody_asked_for_again_is_not_taken(unfinished):
    write(unfinished(), "a", b"of another layout")
    run = unfinished()
    write(run, "b", b"more")
    assert [file.path for file in run.take()] == ["b"]


def test_a_file_that_was_not_finished_is_not_there(unfinished):
    run = unfinished()
    with pytest.raises(KeyboardInterrupt), run.create("a") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert not run.has("a") and not unfinished().has("a")
    write(run, "a", b"whole")
    assert run.has("a")


@pytest.mark.parametrize("content", [b"lonh work", b"long", b""])
def test_a_file_that_is_not_what_was_noted_is_written_again(store, unfinished, content):
    write(unfinished(), "a", b"long work")
    (store.root / "partial" / KEY / "a").write_bytes(content)
    run = unfinished()
    assert not run.has("a")
    write(run, "a", b"long work")
    assert run.take()[0].digest == digest_bytes(b"long work")


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"sha256": "x", "xxh3": "y", "size": "z"}'])
def test_a_note_that_is_none_is_not_believed(store, unfinished, note):
    write(unfinished(), "a", b"long work")
    (store.root / "partial" / KEY / "a.sums").write_text(note)
    assert not unfinished().has("a")


def test_another_step_and_one_that_is_to_run_anew_find_nothing(unfinished):
    write(unfinished(), "a", b"long work")
    assert not unfinished(OTHER).has("a")
    assert not unfinished(anew=True).has("a")
    assert not unfinished().has("a")


def test_what_nobody_came_back_for_is_debris(store, unfinished):
    write(unfinished(), "a", b"long work")
    folder = store.root / "partial" / KEY
    newest = max(path.stat().st_ctime for path in folder.iterdir())
    assert folder not in debris(store, newest)
    assert debris(store, newest + 10)[folder] > 9
