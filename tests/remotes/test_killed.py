"""A push or a pull that ends at any point: what is visible then is whole, and the next one works."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest
from remotes.results import KEY, TRUSTED, built

from cortexbuild.core.address import Address
from cortexbuild.core.digest import Tree
from cortexbuild.remotes.folder import FolderRemote
from cortexbuild.remotes.receive import receive
from cortexbuild.remotes.send import Sender, send
from cortexbuild.remotes.tiers import weigh
from cortexbuild.store.delivery import StoreDelivery
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch


def in_child(work) -> int:
    """Run `work` in a process of its own, which ends with it."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def killed_at_random(work, longest: float, times=20) -> int:
    """Start it and kill it, `times` times; how often it was still running."""
    cut = 0
    for _ in range(times):
        pid = in_child(work)
        time.sleep(random.uniform(0, longest))
        os.kill(pid, signal.SIGKILL)
        cut += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    return cut


def check_visible(folder: Path) -> int:
    """Every record that can be seen is right, and all of its contents are there, whole."""
    seen = 0
    for path in sorted((folder / "ac").iterdir()) if (folder / "ac").exists() else ():
        trace, why = weigh(path.read_text(), path.name, TRUSTED, unsigned=False)
        assert trace is not None, why
        for file in trace.tree.files:
            assert (folder / "cas" / file.digest).stat().st_size == file.size
        seen += 1
    return seen


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


def push(root: Path, folder: Path) -> None:
    store = LocalStore(root)
    remote = FolderRemote(folder)
    address = Address.model_validate({"url": f"file://{folder}"})
    with closing(store), scratch(store.root) as work:
        parcels = [(trace, True) for trace in store.traces()]
        send(Sender(address, remote, KEY, TRUSTED, store), parcels, work, lambda _: None)


def pull(root: Path, folder: Path, trees: list[Tree]) -> None:
    store = LocalStore(root)
    remote = (Address.model_validate({"url": f"file://{folder}"}), FolderRemote(folder))
    with closing(store), scratch(store.root) as work:
        for tree in trees:
            with closing(StoreDelivery(store, tree, work, lambda *_: None)) as delivery:
                receive(tree, [remote], store, delivery, lambda _: None)


def test_a_push_that_is_killed_shows_nothing_that_is_not_whole(tmp_path, folder):
    with closing(LocalStore(tmp_path / "store")) as store:
        built(store)
    random.seed(3)
    began = time.monotonic()
    push(tmp_path / "store", folder)
    whole = time.monotonic() - began
    assert check_visible(folder) == 3
    cut = 0
    for _ in range(20):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and random.random() < 0.5:
                path.unlink()
        # What is named is taken away with its record, as a garbage collection would.
        for record in list((folder / "ac").iterdir()):
            trace, _ = weigh(record.read_text(), record.name, TRUSTED, unsigned=False)
            if not all((folder / "cas" / f.digest).exists() for f in trace.tree.files):
                record.unlink()
        cut += killed_at_random(lambda: push(tmp_path / "store", folder), whole, times=1)
        check_visible(folder)
    assert cut > 5, "it was never killed in the middle"
    push(tmp_path / "store", folder)
    assert check_visible(folder) == 3


def test_a_pull_that_is_killed_goes_on_and_keeps_nothing_that_is_not_whole(tmp_path, folder):
    with closing(LocalStore(tmp_path / "store")) as store:
        trees = [trace.tree for trace in built(store)]
    push(tmp_path / "store", folder)
    random.seed(4)
    began = time.monotonic()
    pull(tmp_path / "first", folder, trees)
    whole = time.monotonic() - began
    cut = 0
    for number in range(20):
        home = tmp_path / f"home-{number // 2}"
        cut += killed_at_random(lambda home=home: pull(home, folder, trees), whole, times=1)
        with closing(LocalStore(home)) as store:
            for digest in store.blobs():
                size = store.blob(digest).stat().st_size
                assert size in {f.size for tree in trees for f in tree.files}
    assert cut > 5, "it was never killed in the middle"
    for number in range(10):
        home = tmp_path / f"home-{number}"
        pull(home, folder, trees)
        with closing(LocalStore(home)) as store:
            assert all(store.check_blob(file) for tree in trees for file in tree.files)
