"""What is written at one place or another, when just that fails; each was once a defect."""

from __future__ import annotations

import errno
import os
import resource
from contextlib import closing
from pathlib import Path

import pytest
from remotes.results import built
from survival.faulty import FAULTS, Fault, Faulty
from survival.kinds import Linkless
from survival.stories import (
    STORIES,
    SYNC,
    TEXTS,
    Inline,
    Story,
    ended,
    left_over,
    of_the_dead,
    play,
    prepared,
    reran,
    shown,
)

from cortexbuild.cli import wire
from cortexbuild.core.digest import digest_bytes
from cortexbuild.errors import StoreError
from cortexbuild.remotes.folder import FolderRemote
from cortexbuild.store import disk
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch
from cortexbuild.store.system import replaced
from cortexbuild.store.views import HomeViews

FULL, LOST = Fault("no room", errno.ENOSPC), Fault("the power fails", power="lost")
CONTENTS, KILLED = Fault("the power fails", power="contents"), Fault("killed", power="kept")
SHORT = next(fault for fault in FAULTS if fault.short and not fault.number)


@pytest.fixture
def space(tmp_path, monkeypatch):
    monkeypatch.setattr(wire, "open_executor", Inline)
    return prepared(tmp_path, STORIES[0])


def test_a_full_disk_is_told_with_the_path_and_the_ways_out(space, tmp_path):
    came = play(space, STORIES[0], Faulty(tmp_path, "write .cortex.lock", FULL))
    assert came.code == 1
    assert came.err == (
        f"error: {space.root}/.cortex.lock.{os.getpid()}: No space left on device\n\n"
        "hint: make room on that disk (`cortexbuild cache gc` lets go of what nobody counts on), "
        "or set CORTEX_HOME to a folder on another\n"
    )
    assert left_over(space) == []


def test_a_step_whose_disk_is_full_fails_with_the_path_and_the_ways_out(space, tmp_path):
    came = play(space, STORIES[0], Faulty(tmp_path, "open arriving-0", FULL))
    assert came.code == 1
    assert f"{space.store}/tmp/" in came.out
    assert "arriving-0: No space left on device" in came.out
    assert "hint: make room on that disk" in came.err


@pytest.mark.parametrize("fault", [LOST, CONTENTS], ids=lambda fault: fault.power)
@pytest.mark.parametrize("after", ["cortex.lock", "store.json", "m--a"])
def test_what_has_its_name_has_its_bytes_whenever_the_power_fails(space, tmp_path, after, fault):
    """The call after the one by which it got its name is the first that is not made."""
    first = Faulty(tmp_path)
    assert play(space, STORIES[0], first).code == 0
    number = first.calls.index(f"rename {after}") + 1
    again = prepared_anew(space, tmp_path)
    play(again, STORIES[0], Faulty(tmp_path / "again", number, fault))
    came = ended(again, *SYNC)
    assert came.code == 0, came.err
    assert shown(again) == TEXTS


def prepared_anew(space, tmp_path):
    (tmp_path / "again").mkdir()
    return prepared(tmp_path / "again", STORIES[0])


def test_what_is_recorded_is_there_when_the_power_fails(tmp_path):
    """And all of it, with the folders that it lies in."""
    disk_ = Faulty(tmp_path)
    with replaced(disk_):
        store = LocalStore(tmp_path / "store")
        kept = built(store, count=1, size=10)
        store.close()
    disk_.power.fail("lost", 0)
    with closing(LocalStore(tmp_path / "store")) as store:
        assert list(store.traces()) == kept
        assert store.has_tree(kept[0].tree)


def test_a_folder_that_is_shown_is_whole_when_the_power_fails(tmp_path):
    with closing(LocalStore(tmp_path / "store")) as store:
        kept = built(store, count=1, size=10)[0]
        disk_ = Faulty(tmp_path)
        with replaced(disk_), scratch(store.root) as folder:
            store.place(kept.tree, folder)
        disk_.power.fail("lost", 0)
        assert store.is_placed(kept.tree)


def test_a_view_that_is_swapped_or_taken_away_is_so_when_the_power_fails(tmp_path):
    """What it showed before may be gone by then, and its project knows it no more."""
    with closing(LocalStore(tmp_path / "home/build/v1")) as store:
        first, second = (kept.tree for kept in built(store, count=2, size=10))
        views = HomeViews(tmp_path / "home", store, "of_{}_models".format)
        for format_ in ("swapped", "gone"):
            views.show("m:t", format_, first)
        disk_ = Faulty(tmp_path)
        with replaced(disk_):
            views.show("m:t", "swapped", second)
            views.remove("of_gone_models/m--t")
        disk_.power.fail("lost", 0)
        assert views.all() == {"of_swapped_models/m--t": second.digest}


def test_what_is_taken_away_comes_back_as_it_was_when_the_power_fails(tmp_path):
    """The disk of these tests does so, whatever was written under the same number meanwhile."""
    path = tmp_path / "file"
    path.write_bytes(b"settled")
    disk_ = Faulty(tmp_path)
    with replaced(disk_):
        disk.unlink(path)
        for name in ("one", "two"):
            with disk.writing(tmp_path / name) as file:
                disk.write(file, b"other")
                disk.fsync(file)
    disk_.power.fail("lost", 0)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("file", b"settled")]


def test_a_remote_folder_takes_all_or_nothing_where_a_write_takes_a_part(tmp_path):
    (tmp_path / "remote").mkdir()
    source = tmp_path / "source"
    source.write_bytes(b"all of it")
    remote = FolderRemote(tmp_path / "remote")
    with replaced(Faulty(tmp_path, "write ", SHORT)):
        remote.write("cas", digest_bytes(b"all of it"), source, lambda _: None)
    assert (tmp_path / "remote/cas" / digest_bytes(b"all of it")).read_bytes() == b"all of it"


def test_an_index_without_room_is_done_without(tmp_path):
    with closing(LocalStore(tmp_path)) as store:
        pages = store.index._db.execute("pragma page_count").fetchone()[0]
        store.index._db.execute(f"pragma max_page_count={pages}")
        for number in range(200):
            store.index.keep_note(f"{number}", "x" * 1000)
        assert store.index.note("199") is None
        kept = built(store, count=1, size=10)[0]
        assert store.has_tree(kept.tree)
        store.index._db.execute(f"pragma max_page_count={pages + 100}")
        store.index.keep_note("again", "there is room")
        assert store.index.note("again") == "there is room"


def test_a_record_that_cannot_be_read_just_now_is_not_thrown_away(tmp_path):
    with closing(LocalStore(tmp_path)) as store:
        key = built(store, count=1, size=10)[0].key
        (store.root / "corrupt").mkdir()
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                store.read_trace(key)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert store.read_trace(key) is not None


def test_a_record_that_is_to_be_replaced_is_there_until_the_new_one_is(tmp_path):
    with closing(LocalStore(tmp_path / "store")) as store:
        kept = built(store, count=1, size=10)[0]
        fault = Faulty(tmp_path, "write ", FULL)
        with replaced(fault), scratch(store.root) as folder, pytest.raises(OSError, match="space"):
            store.keep_trace(kept, folder, replace=True)
        assert store.read_trace(kept.key) == kept


def test_a_name_that_was_claimed_for_what_does_not_come_is_given_back(tmp_path):
    class Full(Linkless):
        def rename(self, source: Path, dest: Path) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    draft = tmp_path / "draft"
    draft.write_text("content")
    with replaced(Full(symbolic=True)), pytest.raises(OSError, match="No space left"):
        disk.link(draft, tmp_path / "name")
    assert not (tmp_path / "name").exists()


@pytest.mark.parametrize("draft", ["cortex.lock", "last.json", "m--a", "m--a.provenance.json"])
def test_what_a_killed_sync_was_about_to_put_in_place_goes_with_the_next(space, tmp_path, draft):
    play(space, STORIES[0], Faulty(tmp_path, f"rename {draft}", KILLED))
    assert any(path.endswith(f".{draft}.{os.getpid()}") for path in left_over(space))
    of_the_dead(tmp_path)
    assert ended(space, *SYNC).code == 0
    assert left_over(space) == []


def test_a_manifest_that_was_about_to_be_put_in_place_goes_with_the_next_sync(space, tmp_path):
    edit = Story("edit", (), (("add", "m:short", "--no-lock"),))
    play(space, edit, Faulty(tmp_path, "rename cortex.yaml", KILLED))
    assert (space.root / f".cortex.yaml.{os.getpid()}").exists()
    of_the_dead(tmp_path)
    assert ended(space, *SYNC).code == 0
    assert left_over(space) == []


def test_a_file_of_a_person_that_looks_like_a_draft_stays(space):
    mine = [space.write(".notes.4194999", "mine"), space.home / "mlx_models" / ".notes.4194999"]
    mine[1].parent.mkdir(parents=True)
    mine[1].write_text("mine")
    assert ended(space, *SYNC).code == 0
    assert [path.read_text() for path in mine] == ["mine", "mine"]


def test_a_scratch_folder_that_cannot_be_locked_is_not_left(tmp_path):
    with closing(LocalStore(tmp_path / "store")) as store:
        fault = Faulty(tmp_path, "handle .lock.new", FULL)
        with replaced(fault), pytest.raises(OSError, match="No space"), scratch(store.root):
            raise AssertionError("it was made all the same")
        assert list((store.root / "tmp").iterdir()) == []


def test_a_loss_of_power_is_caught_by_nobody(space, tmp_path):
    fault = Faulty(tmp_path, "link ", LOST)
    assert play(space, STORIES[0], fault).code is None
    assert fault.dead
    assert len(reran(ended(space, *SYNC))) == 7


def test_a_store_that_cannot_be_made_says_where(tmp_path):
    with replaced(Faulty(tmp_path, "mkdir ac", FULL)), pytest.raises(StoreError) as said:
        LocalStore(tmp_path / "store")
    assert str(said.value) == f"{tmp_path}/store cannot be used: No space left on device"
