"""Results as one file: all of it or nothing, and no more believed than a remote."""

from __future__ import annotations

import errno
import io
import json
import tarfile
from contextlib import closing

import pytest
from remotes.asking import unseen
from remotes.results import KEY, TRUSTED, built
from store.disks import Lacking

from cortexbuild.errors import IntegrityError, StoreError
from cortexbuild.remotes.bundle import bring_in, export
from cortexbuild.store.local import LocalStore
from cortexbuild.store.system import replaced


@pytest.fixture
def made(tmp_path):
    """A bundle of three results, and its members by name."""
    path = tmp_path / "set.tar"
    with closing(LocalStore(tmp_path / "store")) as store:
        traces = built(store, size=100_000)
        export(path, [(t, True) for t in traces], store, KEY, TRUSTED, unseen)
    with tarfile.open(path) as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar}
    return path, traces, members


@pytest.fixture
def other(tmp_path):
    with closing(LocalStore(tmp_path / "other")) as store:
        yield store


def take(path, store, trusted=TRUSTED):
    return bring_in(path, store, trusted, unseen)


def rewrite(path, members, change=lambda member: None):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            change(member)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["set.tar", "set.tar.zst"])
def test_there_and_back(tmp_path, other, name):
    with closing(LocalStore(tmp_path / "store")) as store:
        traces = built(store, size=100_000)
        parcels = [(traces[0], True), (traces[1], False)]
        written = export(tmp_path / name, parcels, store, KEY, TRUSTED, unseen)
    assert take(tmp_path / name, other) == written
    assert (written.records, written.contents) == (2, 2)
    assert other.has_tree(traces[0].tree) and not other.has_tree(traces[1].tree)
    assert {t.key for t in other.traces()} == {traces[0].key, traces[1].key}
    assert take(tmp_path / name, other) == written, "a second time does no harm"


def test_the_same_results_give_the_same_bytes(tmp_path):
    with closing(LocalStore(tmp_path / "store")) as store:
        parcels = [(t, True) for t in built(store, size=1000)]
        for name in ("a.tar", "b.tar"):
            export(tmp_path / name, parcels, store, KEY, TRUSTED, unseen)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_of_a_stranger_nothing_is_kept(made, other):
    path, *_ = made
    with pytest.raises(IntegrityError, match="signed by ci, which is not trusted") as error:
        take(path, other, {})
    assert "keys trust" in error.value.hint
    assert list(other.traces()) == [] and list(other.blobs()) == []


def test_a_flipped_bit_anywhere_is_found(made, other):
    path, traces, members = made
    content = path.read_bytes()
    for place in range(700, len(content) - 10240, 997):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        try:
            take(path, other)
        except IntegrityError:
            assert list(other.traces()) == []
        else:  # in what only pads
            assert content[place] == 0
            assert all(other.check_blob(file) for trace in traces for file in trace.tree.files)
            for trace in other.traces():
                other.trace_path(trace.key).unlink()


def test_one_that_was_cut_short_is_refused(made, other):
    path, _, members = made
    content = path.read_bytes()
    for end in (0, 100, 512, 5000, len(content) // 2, len(content) - 110_000):
        path.write_bytes(content[:end])
        with pytest.raises(IntegrityError, match="no bundle|damaged|ends before"):
            take(path, other)
    listed = list(members.items())
    with pytest.raises(IntegrityError, match="ends before its end"):
        take(rewrite(path, listed[:-1]), other)
    assert list(other.traces()) == []


def link(member):
    if member.name.startswith("cas/"):
        member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0


def hard_link(member):
    if member.name.startswith("cas/"):
        member.type, member.linkname, member.size = tarfile.LNKTYPE, "ac/x", 0


def out_of_it(member):
    member.name = member.name.replace("cas/", "cas/../../")


def absolute(member):
    member.name = member.name.replace("cas/", "/cas/")


def device(member):
    if member.name.startswith("cas/"):
        member.type, member.size = tarfile.CHRTYPE, 0


@pytest.mark.parametrize("change", [link, hard_link, out_of_it, absolute, device])
def test_members_that_no_export_writes(made, other, tmp_path, change):
    path, _, members = made
    with pytest.raises(IntegrityError, match="a bundle has no"):
        take(rewrite(path, list(members.items()), change), other)
    assert list(other.traces()) == []


def test_contents_that_no_record_names_are_not_taken(made, other):
    path, _, members = made
    more = [*members.items(), ("cas/" + "0" * 64, b"x" * 1000)]
    with pytest.raises(IntegrityError, match="in none of its records"):
        take(rewrite(path, more), other)
    twice = [*members.items(), [item for item in members.items() if item[0].startswith("cas/")][0]]
    with pytest.raises(IntegrityError, match="in none of its records"):
        take(rewrite(path, twice), other)


def test_a_header_that_claims_gigabytes_takes_no_memory(made, other):
    path, _, members = made
    head = tarfile.TarInfo("bundle.json")
    head.type, head.size = tarfile.XHDTYPE, 8 << 30
    with path.open("wb") as file:
        file.write(head.tobuf(tarfile.GNU_FORMAT))
        file.truncate(9 << 30)
    with pytest.raises(IntegrityError, match="a header of"):
        take(path, other)


def test_another_version_says_so(made, other):
    path, _, members = made
    members["bundle.json"] = json.dumps({"schema": "cortexbuild/bundle/9"}).encode()
    with pytest.raises(IntegrityError, match="this program knows"):
        take(rewrite(path, list(members.items())), other)


def test_what_is_not_a_tar(tmp_path, other):
    for content in (b"hello", b"\x28\xb5\x2f\xfd" + b"x" * 50, b"PK\x03\x04"):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(IntegrityError, match="no bundle"):
            take(tmp_path / "x", other)


def test_a_damaged_content_is_not_exported(tmp_path):
    with closing(LocalStore(tmp_path / "store")) as store:
        traces = built(store, size=1000)
        blob = store.blob(traces[0].tree.files[1].digest)
        blob.chmod(0o644)
        blob.write_bytes(b"x" * 1000)
        with pytest.raises(IntegrityError, match="damaged or gone"):
            export(tmp_path / "x.tar", [(traces[0], True)], store, KEY, TRUSTED, unseen)
    assert not list(tmp_path.glob("*x.tar*"))


def test_a_disk_that_is_full_is_not_taken_for_a_damaged_bundle(made, other):
    with (
        replaced(Lacking("open", errno.ENOSPC)),
        pytest.raises(StoreError, match="No space left on device") as found,
    ):
        take(made[0], other)
    assert "make room on that disk" in found.value.hint
