"""Garbage collection of a remote, and looking whether it is what it says."""

from __future__ import annotations

import os
import time
from contextlib import closing
from threading import Barrier

import pytest
from remotes.asking import unseen
from remotes.results import KEY, TRUSTED, built

from cortexbuild.core.address import Address
from cortexbuild.errors import IntegrityError
from cortexbuild.remotes.audit import audit
from cortexbuild.remotes.collect import collect
from cortexbuild.remotes.folder import FolderRemote
from cortexbuild.remotes.send import Sender, send
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch

DAY = 86400.0


class Shared:
    """A folder, a store that fills it, and ages for what is there."""

    def __init__(self, tmp):
        self.folder = tmp / "shared"
        self.folder.mkdir()
        self.remote = FolderRemote(self.folder)
        self.address = Address.model_validate({"url": f"file://{self.folder}"})
        self.store = LocalStore(tmp / "store")
        self.traces = built(self.store, size=100)

    def push(self, *traces):
        sender = Sender(self.address, self.remote, KEY, TRUSTED, self.store)
        with scratch(self.store.root) as work:
            return send(sender, [(trace, True) for trace in traces], work, unseen)

    def age(self, days):
        for path in self.folder.rglob("*"):
            os.utime(path, (time.time() - days * DAY,) * 2)

    def names(self, area):
        return {path.name for path in (self.folder / area).iterdir()}

    def collect(self, days, dry=False):
        return collect(self.remote, time.time() - days * DAY, dry=dry)

    def audit(self):
        return audit(self.address, self.remote, TRUSTED, self.store.index, unseen)


@pytest.fixture
def shared(tmp_path):
    shared = Shared(tmp_path)
    with closing(shared.store):
        yield shared


def test_what_a_young_push_was_about_stays_however_old_it_is(shared):
    one, two, three = shared.traces
    shared.push(one, two, three)
    shared.age(100)
    assert shared.push(one, two).contents == 0, "all of it is there already"
    found = shared.collect(30)
    assert shared.names("ac") == {one.key, two.key}
    assert shared.names("cas") == {f.digest for t in (one, two) for f in t.tree.files}
    assert len(shared.names("roots")) == 1
    assert {area: len(gone) for area, gone in found.gone.items()} == {"roots": 1, "ac": 1, "cas": 2}
    assert shared.push(three).contents == 2 and not shared.audit().damaged


def test_records_are_read_several_at_a_time(shared, monkeypatch):
    shared.push(*shared.traces)
    here, read = Barrier(len(shared.traces), timeout=10), shared.remote.read

    def meeting(area, name, start=0):
        if area == "ac":
            here.wait()  # alone none of them would go on
        return read(area, name, start)

    monkeypatch.setattr(shared.remote, "read", meeting)
    assert shared.collect(30).size == 0
    assert len(shared.names("cas")) == 2 * len(shared.traces)


def test_what_is_young_stays_without_a_root(shared):
    shared.push(*shared.traces)
    for path in (shared.folder / "roots").iterdir():
        path.unlink()
    assert not shared.collect(30).size
    shared.age(31)
    assert shared.collect(30, dry=True).size > 0 and len(shared.names("ac")) == 3
    shared.collect(30)
    assert shared.names("ac") == shared.names("cas") == set()


def test_a_root_that_cannot_be_read_keeps_all(shared):
    shared.push(*shared.traces)
    shared.age(100)
    root = next((shared.folder / "roots").iterdir())
    root.chmod(0o644)
    root.write_text("{")
    with pytest.raises(IntegrityError, match="roots/"):
        shared.collect(30)
    assert len(shared.names("ac")) == 3


def collect_while_pushing(shared, trace, monkeypatch):
    """Somebody pushes after the first look at the roots."""
    entries, asked = shared.remote.entries, []

    def and_somebody_pushes(area):
        asked.append(area)
        if asked.count("roots") == 2 and area == "roots":
            shared.push(trace)
        return entries(area)

    monkeypatch.setattr(shared.remote, "entries", and_somebody_pushes)
    shared.collect(30)


def test_a_push_that_begins_meanwhile_is_seen(shared, monkeypatch):
    one, *_ = shared.traces
    shared.push(*shared.traces)
    shared.age(100)
    collect_while_pushing(shared, one, monkeypatch)
    assert shared.names("ac") == {one.key}


def test_a_push_of_what_was_pushed_before_is_seen_too(shared, monkeypatch):
    """It makes no new root, but an old one young."""
    one, *_ = shared.traces
    shared.push(one)
    shared.age(100)
    collect_while_pushing(shared, one, monkeypatch)
    assert shared.names("ac") == {one.key} and not shared.audit().bare


def test_drafts_of_killed_writers_go_with_a_later_write(shared):
    drafts = shared.folder / "tmp"
    drafts.mkdir()
    (drafts / "old").write_text("half")
    (drafts / "new").write_text("half")
    os.utime(drafts / "old", (time.time() - 2 * DAY,) * 2)
    shared.push(shared.traces[0])
    assert shared.names("tmp") == {"new"}


def test_an_audit_finds_a_flipped_bit_and_a_push_repairs_it(shared):
    shared.push(*shared.traces)
    assert shared.audit().damaged == [] and shared.audit().records == 3
    blob = shared.folder / "cas" / shared.traces[0].tree.files[1].digest
    record = shared.folder / "ac" / shared.traces[1].key
    for path in (blob, record):
        content = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    assert sorted(shared.audit().damaged) == sorted([f"cas/{blob.name}", f"ac/{record.name}"])
    sent = shared.push(*shared.traces)
    assert (sent.contents, sent.records) == (1, 1)
    assert shared.audit().damaged == []


def test_an_audit_tells_of_records_without_contents_and_of_strangers(shared):
    shared.push(*shared.traces)
    for file in shared.traces[0].tree.files:
        (shared.folder / "cas" / file.digest).unlink()
    found = shared.audit()
    assert (found.bare, found.damaged) == (1, [])
    found = audit(shared.address, shared.remote, {}, shared.store.index, unseen)
    assert dict(found.doubted) == {"signed by ci, which is not trusted": 3}
