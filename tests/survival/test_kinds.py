"""Homes on file systems that can less: what can be done is done, and what cannot is said."""

from __future__ import annotations

from contextlib import closing

import pytest
from remotes.results import built
from survival.kinds import Folding, Linkless
from survival.stories import STORIES, SYNC, TEXTS, Inline, ended, prepared, reran, shown

from cortexbuild.cli import wire
from cortexbuild.errors import IntegrityError
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch
from cortexbuild.store.system import replaced


@pytest.fixture
def space(tmp_path, monkeypatch):
    monkeypatch.setattr(wire, "open_executor", Inline)
    return prepared(tmp_path, STORIES[0])


def test_without_hard_links_all_works_with_copies(space):
    with replaced(Linkless(symbolic=True)):
        assert len(reran(ended(space, *SYNC))) == 7
        assert reran(ended(space, *SYNC)) == []
        assert shown(space) == TEXTS
        placed = space.view("m--a") / "model.txt"
        placed.chmod(0o644)
        placed.write_text("X")  # a copy that was changed is made again, and nothing else
        assert reran(ended(space, *SYNC)) == []
        assert shown(space) == TEXTS
        assert ended(space, "verify").code == 0


def test_without_symbolic_links_it_is_said_where_and_what_to_do(space):
    with replaced(Linkless(symbolic=False)):
        came = ended(space, "sync", "-j", "1")
    assert came.code == 1
    assert "is on a file system that has no symbolic links" in came.err
    assert f"{space.home}" in came.err
    assert "hint: set CORTEX_HOME to a folder on one that has" in came.err


def test_where_capitals_are_small_letters_all_works(space):
    with replaced(Folding()):
        assert len(reran(ended(space, *SYNC))) == 7
        assert reran(ended(space, *SYNC)) == []
        assert shown(space) == TEXTS


def test_two_files_that_would_be_one_there_are_refused_by_their_names(tmp_path):
    """On every machine, so that what one has made another can show."""
    with closing(LocalStore(tmp_path)) as store, scratch(store.root) as folder:
        (folder / "A.txt").write_text("capital")
        (folder / "a.txt").write_text("small")
        with pytest.raises(IntegrityError, match="`A.txt` and `a.txt` differ only in case"):
            store.add_folder(folder)


def test_a_name_that_is_taken_by_the_content_of_another_is_not_written_over(tmp_path):
    with closing(LocalStore(tmp_path)) as store:
        one, other = (trace.tree.files[0] for trace in built(store, count=2, size=10))
        with scratch(store.root) as folder:
            store.link_out(one, folder / "name")
            with pytest.raises(FileExistsError):
                store.link_out(other, folder / "name")
        assert store.check_blob(one)
