"""A push or a pull that ends at any point: what is visible then is whole, and the next one works."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from remotes.asking import unseen
from remotes.conftest import needs_nginx
from remotes.results import KEY, TRUSTED, built
from remotes.servers import find_nginx, plain_nginx

from cortexbuild.core.address import Address
from cortexbuild.core.digest import Tree
from cortexbuild.errors import RemoteError
from cortexbuild.remotes import open_remote, transfer
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
        code = 1
        with suppress(RemoteError):
            work()
            code = 0
        os._exit(code)
    return pid


def killed(work, longest: float) -> bool:
    """Start it and kill it within a time; whether it was still running."""
    pid = in_child(work)
    time.sleep(random.uniform(0, longest))
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def seconds(work) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


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


def push(root: Path, url: str) -> None:
    store, address = LocalStore(root), Address(url=url)
    remote = open_remote(address, root)
    with closing(store), scratch(store.root) as work:
        parcels = [(trace, True) for trace in store.traces()]
        send(Sender(address, remote, KEY, TRUSTED, store), parcels, work, unseen)


def pull(root: Path, url: str, trees: list[Tree]) -> None:
    store, address = LocalStore(root), Address(url=url)
    remote = (address, open_remote(address, root))
    with closing(store), scratch(store.root) as work:
        for tree in trees:
            with closing(StoreDelivery(store, tree, work, lambda *_: None)) as delivery:
                receive(tree, [remote], store, delivery, unseen)


def lose_half(folder: Path) -> None:
    """As a garbage collection would: some contents, and before them the records that name them."""
    doomed = {path for path in sorted((folder / "cas").iterdir()) if random.random() < 0.5}
    for record in sorted((folder / "ac").iterdir()):
        trace, _ = weigh(record.read_text(), record.name, TRUSTED, unsigned=False)
        if any(folder / "cas" / file.digest in doomed for file in trace.tree.files):
            record.unlink()
    for path in doomed:
        path.unlink()


def check_home(home: Path, trees: list[Tree], *, whole: bool) -> None:
    """What a home has is right; all of it, if it is to be whole."""
    with closing(LocalStore(home)) as store:
        files = {file.digest: file for tree in trees for file in tree.files}
        for digest in store.blobs():
            assert store.check_blob(files[digest])
        assert not whole or all(store.has_tree(tree) for tree in trees)


def test_a_push_that_is_killed_shows_nothing_that_is_not_whole(tmp_path, folder):
    url, home = f"file://{folder}", tmp_path / "store"
    with closing(LocalStore(home)) as store:
        built(store)
    random.seed(3)
    whole = seconds(lambda: push(home, url))
    assert check_visible(folder) == 3
    cut = 0
    for _ in range(20):
        lose_half(folder)
        cut += killed(lambda: push(home, url), whole)
        check_visible(folder)
    assert cut > 5, "it was never killed in the middle"
    push(home, url)
    assert check_visible(folder) == 3


def test_a_pull_that_is_killed_goes_on_and_keeps_nothing_that_is_not_whole(tmp_path, folder):
    url = f"file://{folder}"
    with closing(LocalStore(tmp_path / "store")) as store:
        trees = [trace.tree for trace in built(store)]
    push(tmp_path / "store", url)
    random.seed(4)
    whole = seconds(lambda: pull(tmp_path / "first", url, trees))
    homes = [tmp_path / f"home-{number // 2}" for number in range(20)]
    cut = 0
    for home in homes:
        cut += killed(lambda home=home: pull(home, url, trees), whole)
        check_home(home, trees, whole=False)
    assert cut > 5, "it was never killed in the middle"
    for home in homes[::2]:
        pull(home, url, trees)
        check_home(home, trees, whole=True)


@needs_nginx
def test_a_server_that_is_killed_anywhere_leaves_nothing_half(tmp_path, monkeypatch):
    """Twenty times while something is pushed, twenty times while it is pulled."""
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.01)
    served = tmp_path / "nginx"
    with plain_nginx(served) as url:
        folder = served / "srv" / "cortex"
        with closing(LocalStore(tmp_path / "store")) as store:
            trees = [trace.tree for trace in built(store)]
        random.seed(5)
        whole = seconds(lambda: push(tmp_path / "store", url))

    def outlived(work) -> bool:
        """Kill the server while `work` goes on; whether that was of no matter to it."""
        with serving(served, url) as server:
            pid = in_child(work)
            time.sleep(random.uniform(0, whole))
            os.killpg(server.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    ended = 0
    for _ in range(20):
        lose_half(folder)
        ended += outlived(lambda: push(tmp_path / "store", url))
        check_visible(folder)
    assert ended < 20, "it was never killed in the middle"
    with serving(served, url):
        push(tmp_path / "store", url)
        assert check_visible(folder) == 3
    homes = [tmp_path / f"home-{number // 2}" for number in range(20)]
    for home in homes:
        outlived(lambda home=home: pull(home, url, trees))
        check_home(home, trees, whole=False)
    with serving(served, url):
        for home in homes[::2]:
            pull(home, url, trees)
            check_home(home, trees, whole=True)


@contextmanager
def serving(folder: Path, url: str):
    """The nginx of a folder once more, at its address; all of it is gone at the end."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    command = [find_nginx(), "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None
                time.sleep(0.01)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
