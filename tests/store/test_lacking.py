"""Locks on a disk that knows none, and on one without room for who holds them."""

from __future__ import annotations

import errno
from contextlib import closing

import pytest
from store.disks import Lacking

from cortexbuild.core.digest import File, Tree, digest_bytes
from cortexbuild.errors import BusyError, StoreError
from cortexbuild.store.delivery import StoreDelivery
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch, sweep
from cortexbuild.store.steplock import step_lock
from cortexbuild.store.storelock import alone_for_now, holders, store_lock
from cortexbuild.store.system import replaced

KEY = "a" * 64


@pytest.fixture
def store(tmp_path):
    with closing(LocalStore(tmp_path)) as opened:
        yield opened


@pytest.fixture(params=[errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def without_locks(request):
    with replaced(Lacking("lock", request.param)):
        yield


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_on_a_full_disk_a_lock_counts_though_it_does_not_say_whose_it_is(store, number):
    with replaced(Lacking("say", number)), store_lock(store.root, "sync", print):
        assert holders(store.root) == ["another process"]
        with alone_for_now(store.root) as alone:
            assert alone
        with store_lock(store.root, "verify", print), alone_for_now(store.root) as alone:
            assert not alone
        with (
            pytest.raises(BusyError, match="the store is in use by another process"),
            store_lock(store.root, "cache gc", print, 0.0, alone=True),
        ):
            pass
        with (
            step_lock(store.root, KEY, "m:t/convert", print),
            pytest.raises(BusyError, match="is being made by another process"),
            step_lock(store.root, KEY, "m:t/convert", print, 0.0),
        ):
            pass
    with replaced(Lacking("say", number)), store_lock(store.root, "gc", print, 0.0, alone=True):
        pass


def test_a_disk_that_fails_is_not_taken_for_a_full_one(store):
    with (
        replaced(Lacking("say", errno.EIO)),
        pytest.raises(OSError, match="Input/output"),
        store_lock(store.root, "sync", print),
    ):
        pass


def test_without_locks_nobody_waits(store, without_locks):
    with (
        store_lock(store.root, "sync", print, 0.0),
        step_lock(store.root, KEY, "m:t/convert", print, 0.0),
        step_lock(store.root, KEY, "m:t/convert", print, 0.0),
    ):
        pass


def test_without_locks_nobody_is_known_to_be_alone(store, without_locks):
    with store_lock(store.root, "sync", print), alone_for_now(store.root) as alone:
        assert not alone
    with (
        pytest.raises(StoreError, match="without locks, so nobody knows who uses it"),
        store_lock(store.root, "cache gc", print, alone=True),
    ):
        pass


def test_without_locks_the_work_of_others_stays(store, without_locks):
    tree = Tree((File("a", digest_bytes(b"hello"), 5),))
    with scratch(store.root) as mine, scratch(store.root) as others:
        assert sweep(store.root) == 0 and others.exists()
        part = StoreDelivery(store, tree, mine, lambda *_: None).part(tree.files[0])
        assert part.parent == mine, "two would write into one file"
