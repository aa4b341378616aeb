"""Contents on their way, several at a time, and many in all."""

from __future__ import annotations

import os
import resource
from contextlib import closing, contextmanager
from threading import Barrier, Event

import pytest
from remotes.asking import unseen
from remotes.results import KEY, TRUSTED

from cortexbuild.core.address import Address
from cortexbuild.remotes.folder import FolderRemote
from cortexbuild.remotes.receive import receive
from cortexbuild.remotes.send import Sender, send_contents
from cortexbuild.store.delivery import StoreDelivery
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch


@pytest.fixture
def store(tmp_path):
    with closing(LocalStore(tmp_path / "store")) as opened:
        yield opened


def tree_of(store, count):
    with scratch(store.root) as folder:
        out = folder / "out"
        out.mkdir()
        for number in range(count):
            (out / f"{number:04}.txt").write_text(str(number))
        return store.add_folder(out)


@contextmanager
def few_open_files(more: int):
    """This process may open so many more than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_tree_of_many_files_comes_with_few_of_them_open(store, tmp_path):
    tree, shared = tree_of(store, 100), tmp_path / "shared"
    shared.mkdir()
    address, remote = Address(url=f"file://{shared}"), FolderRemote(shared)
    send_contents(Sender(address, remote, KEY, TRUSTED, store), tree.files, unseen)
    told = []
    with closing(LocalStore(tmp_path / "other")) as other, scratch(other.root) as folder:
        delivery = StoreDelivery(other, tree, folder, lambda *moved: told.append(moved))
        with few_open_files(30), closing(delivery):
            assert receive(tree, [(address, remote)], other, delivery, print) == {
                address.name: tree.size
            }
        assert other.has_tree(tree)
    assert told[-1] == (tree.size, tree.size)
    assert list((other.root / "partial").iterdir()) == []


class Both:
    """A remote that takes two contents at the very same time."""

    def __init__(self) -> None:
        self._here = Barrier(2, timeout=10)

    def sizes(self, area, names):
        return {}

    def write(self, area, name, source, moved, *, only_new=False):
        self._here.wait()
        moved(1)
        return True


def test_who_watches_a_push_is_told_by_one_at_a_time(store):
    inside, met = [], Event()

    def moved(count: int) -> None:
        inside.append(count)
        if len(inside) == 2:
            met.set()
        assert not met.wait(0.1)
        inside.pop()

    sender = Sender(Address(url="file:///shared"), Both(), KEY, TRUSTED, store)
    assert send_contents(sender, tree_of(store, 2).files, moved).contents == 2
    assert not met.is_set()
