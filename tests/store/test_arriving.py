"""Files that come from elsewhere on this machine: several at once, and each as it was pinned."""

from __future__ import annotations

import errno
import shutil
from contextlib import closing
from pathlib import Path
from threading import Barrier
from threading import enumerate as enumerate_threads

import pytest
from store.disks import Lacking

from cortexbuild.cli.looks import IndexedLooks
from cortexbuild.core.digest import File, Tree, digest_bytes
from cortexbuild.errors import IntegrityError
from cortexbuild.store.delivery import StoreDelivery
from cortexbuild.store.hashing import sums_of
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch
from cortexbuild.store.system import System, replaced

CONTENTS = {"a": b"one" * 1000, "b/c": b"two" * 2000, "d": b"three" * 3000}
TREE = Tree.of(File(name, digest_bytes(it), len(it)) for name, it in CONTENTS.items())
PATIENCE = 10.0
"""Seconds, after which nobody else is there at the same time."""


@pytest.fixture
def store(tmp_path):
    with closing(LocalStore(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def theirs(tmp_path) -> dict[str, Path]:
    files = {name: tmp_path / "theirs" / name for name in CONTENTS}
    for name, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENTS[name])
    return files


def brought(store: LocalStore, files: dict[str, Path]) -> list[tuple[int, int]]:
    """What was told of progress meanwhile."""
    told: list[tuple[int, int]] = []
    with scratch(store.root) as folder:
        StoreDelivery(store, TREE, folder, lambda *done: told.append(done)).copy(files)
    return told


class InPairs(System):
    """Nobody gets on alone: the first two who come to a call go on together."""

    def __init__(self, name: str) -> None:
        real, both, came = getattr(super(), name), Barrier(2), iter(range(2))

        def call(*given):
            if next(came, None) is not None:
                both.wait(PATIENCE)
            return real(*given)

        setattr(self, name, call)


class ByReference(System):
    """Copies as a file system does that knows how to share blocks."""

    def clone(self, source: Path, dest: Path) -> bool:
        shutil.copyfile(source, dest)
        return True


def test_several_files_are_copied_at_once(store, theirs):
    with replaced(InPairs("clone")):
        told = brought(store, theirs)
    assert store.has_tree(TREE)
    assert all(path.read_bytes() == CONTENTS[name] for name, path in theirs.items())
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (TREE.size, TREE.size)


def test_what_is_copied_by_reference_has_come_as_well(store, theirs):
    with replaced(ByReference()):
        told = brought(store, theirs)
    assert store.has_tree(TREE)
    assert told[-1] == (TREE.size, TREE.size)


def test_one_that_is_not_as_it_was_pinned_is_named_and_does_not_come_in(store, theirs):
    theirs["b/c"].write_bytes(b"owt" * 2000)
    with pytest.raises(IntegrityError, match="`b/c` is not what was pinned"):
        brought(store, theirs)
    assert not store.blob(digest_bytes(b"owt" * 2000)).exists()
    assert not list((store.root / "tmp").glob("*/*"))


def test_several_folders_are_read_at_once_and_each_has_its_own(store, tmp_path):
    folders = [tmp_path / "x", tmp_path / "y", tmp_path / "z"]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "model").write_bytes(b"m" * 100)
    (folders[2] / "model").write_bytes(b"n" * 100)
    (folders[2] / "card").write_bytes(b"c")
    with replaced(InPairs("fsync")):
        trees = store.add_folders(folders)
    assert [[file.path for file in tree.files] for tree in trees] == [
        ["model"],
        [],
        ["card", "model"],
    ]
    assert trees[2].files[1].digest == digest_bytes(b"n" * 100)
    assert all(store.has_tree(tree) for tree in trees)


def test_many_files_are_looked_at_at_once_and_told_in_order(store, theirs, monkeypatch):
    looks, both = IndexedLooks(store.index), Barrier(2)
    paths = list(theirs.values())

    def in_pairs(path):
        if path in paths[:2]:
            both.wait(PATIENCE)
        return real(path)

    real = sums_of
    monkeypatch.setattr("cortexbuild.cli.looks.sums_of", in_pairs)
    expected = [(digest_bytes(CONTENTS[name]), len(CONTENTS[name])) for name in theirs]
    assert looks.sums_of(paths) == expected
    both.reset()
    assert looks.sums_of(paths[::-1]) == expected[::-1]


def test_after_an_error_no_thread_is_left_to_the_collector_of_garbage(store, tmp_path):
    """It would wait for them in any thread, even one that is just being started: for ever."""
    for name in "abcdef":
        (tmp_path / "x").mkdir(exist_ok=True)
        (tmp_path / "x" / name).write_text(name)
    with replaced(Lacking("link", errno.EIO)), pytest.raises(OSError) as caught:
        store.add_folders([tmp_path / "x"])
    assert caught.value.errno == errno.EIO
    assert not [one.name for one in enumerate_threads() if "ThreadPool" in one.name]
