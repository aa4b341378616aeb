"""Results to each kind of remote and back; audited, repaired and collected there."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from remotes.asking import unseen
from remotes.conftest import ALL_KINDS
from remotes.results import KEY, TRUSTED, built

from cortexbuild.remotes.audit import audit
from cortexbuild.remotes.collect import collect
from cortexbuild.remotes.receive import receive
from cortexbuild.remotes.send import Sender, send
from cortexbuild.store.delivery import StoreDelivery
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_results_go_there_and_come_back(kind, place, tmp_path, monkeypatch):
    where = place(kind)
    for name, value in where.environment.items():
        monkeypatch.setenv(name, value)
    remote, address = where.open(), where.address
    with closing(LocalStore(tmp_path / "ci")) as store, scratch(store.root) as work:
        traces = built(store, count=2, size=3_000_000)
        sender = Sender(address, remote, KEY, TRUSTED, store)
        parcels = [(trace, True) for trace in traces]
        assert send(sender, parcels, work, unseen).contents == 4
        again = send(sender, parcels, work, unseen)
        assert (again.contents, again.records, again.there) == (0, 0, 4 + 2)

        model = traces[0].tree.files[1]
        (tmp_path / "wrong").write_bytes(bytes(model.size))
        remote.write("cas", model.digest, tmp_path / "wrong", unseen)
        assert audit(address, remote, TRUSTED, store.index, unseen).damaged == [
            f"cas/{model.digest}"
        ]
        assert send(sender, parcels, work, unseen).contents == 1
        assert audit(address, remote, TRUSTED, store.index, unseen).damaged == []

    with closing(LocalStore(tmp_path / "laptop")) as other, scratch(other.root) as work:
        for trace in traces:
            delivery = StoreDelivery(other, trace.tree, work, unseen)
            with closing(delivery):
                came = receive(trace.tree, [(address, remote)], other, delivery, unseen)
            assert came == {address.name: trace.tree.size}
            assert other.has_tree(trace.tree)

    assert collect(remote, time.time() - 3600, dry=False).size == 0
    found = collect(remote, time.time() + 3600, dry=True)
    assert {area: len(gone) for area, gone in found.gone.items()} == {"roots": 1, "ac": 2, "cas": 4}
    collect(remote, time.time() + 3600, dry=False)
    assert [list(remote.entries(area)) for area in ("roots", "ac", "cas")] == [[], [], []]
