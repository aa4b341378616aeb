"""What does not go out, and where nothing is written."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from remotes.asking import unseen
from remotes.results import KEY, TRUSTED, built

from cortexbuild.core.address import Address
from cortexbuild.errors import IntegrityError, RemoteError, UsageError
from cortexbuild.remotes.folder import FolderRemote
from cortexbuild.remotes.send import Sender, send
from cortexbuild.remotes.signing import SigningKey, signed
from cortexbuild.remotes.tiers import NOBODY
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch


@pytest.fixture
def store(tmp_path):
    with closing(LocalStore(tmp_path / "store")) as store:
        yield store


def push(store, folder, traces, key=KEY):
    sender = Sender(Address(url=f"file://{folder}"), FolderRemote(folder), key, TRUSTED, store)
    with scratch(store.root) as work:
        return send(sender, [(trace, True) for trace in traces], work, unseen)


def test_a_damaged_content_stays_here(store, tmp_path):
    (tmp_path / "shared").mkdir()
    traces = built(store, size=1000)
    blob = store.blob(traces[1].tree.files[1].digest)
    blob.chmod(0o644)
    blob.write_bytes(bytes(1000))
    with pytest.raises(IntegrityError, match="damaged or gone"):
        push(store, tmp_path / "shared", traces)
    sent = [path.name for path in (tmp_path / "shared").glob("[ac]*/*")]
    assert blob.name not in sent and traces[1].key not in sent


def test_a_folder_that_is_not_there_is_not_made(store, tmp_path):
    with pytest.raises(RemoteError, match="is it mounted"):
        push(store, tmp_path / "mnt" / "models", built(store, size=10))
    assert not (tmp_path / "mnt").exists()


def test_without_a_key_nothing_goes_out(store, tmp_path):
    (tmp_path / "shared").mkdir()
    with pytest.raises(UsageError, match="no key to sign with"):
        push(store, tmp_path / "shared", built(store, size=10), key=None)
    assert not list((tmp_path / "shared").rglob("*"))


def test_a_cache_of_only_records_and_contents_takes_what_it_knows(store, tmp_path, monkeypatch):
    """bazel-remote has no other areas."""
    folder = tmp_path / "shared"
    folder.mkdir()
    write = FolderRemote.write

    def without_roots(self, area, *args, **more):
        if area == "roots":
            raise RemoteError("400 Bad Request")
        return write(self, area, *args, **more)

    monkeypatch.setattr(FolderRemote, "write", without_roots)
    sent = push(store, folder, built(store, size=10))
    assert (sent.records, sent.rooted) == (3, False)
    assert not (folder / "roots").exists()


def test_a_key_signs_only_what_was_made_where_it_is(store, tmp_path):
    """A record of a stranger, or of nobody, that this store once took in is not vouched for."""
    (tmp_path / "shared").mkdir()
    own, strange, nobodys = built(store, size=10)
    strange = signed(strange, SigningKey("mallory", bytes([7]) * 32))
    nobodys = replace(nobodys, signatures={NOBODY: ""})
    sent = push(store, tmp_path / "shared", [own, strange, nobodys])
    assert sent.strangers == [strange.label, nobodys.label]
    assert [path.name for path in (tmp_path / "shared" / "ac").iterdir()] == [own.key]
