"""The index is lost, damaged, of another version, held or replaced: nothing but time is lost."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from cortexbuild.core.digest import Digest
from cortexbuild.errors import StoreError
from cortexbuild.store.index import Index
from cortexbuild.store.local import LocalStore

A, B = Digest("a" * 64), Digest("b" * 64)
LONG_AGO = 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


def filled(path: Path) -> Index:
    index = Index(path)
    for number in range(200):  # some pages
        index.keep_blob(Digest(f"{number:064x}"), f"stat {number}", f"{number:032x}")
        index.keep_file(f"/weights/{number}", "stat", LONG_AGO, A, number)
    index.keep_note("facts", "{}")
    index.keep_spec(A)
    return index


def is_of_use(index: Index) -> None:
    index.keep_blob(B, "stat", "xxh3")
    index.note_use([B])
    index.keep_file("/w", "stat", LONG_AGO, A, 5)
    index.keep_note("name", "value")
    index.keep_spec(B)
    assert index.blob(B) == ("stat", "xxh3")
    assert index.file("/w", "stat") == (A, 5) and index.file("/w", "other") is None
    assert index.note("name") == "value" and index.known_specs([B]) == {B}
    assert index.uses()[B] > time.time() - 60
    index.close()


def parts(path: Path) -> list[Path]:
    return [p for end in ("", "-wal", "-shm") if (p := Path(f"{path}{end}")).exists()]


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_anything_in_its_place_is_thrown_away(path, content):
    filled(path).close()
    path.write_bytes(content)
    is_of_use(Index(path))


def test_whatever_byte_of_its_schema_is_damaged_no_command_ends(path):
    filled(path).close()
    whole = path.read_bytes()
    for at in range(whole[:4096].rindex(b"\0\0\0\0"), 4096, 3):  # SQLite quotes what is there
        for part in parts(path):
            part.unlink()
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x80]) + whole[at + 1 :])
        index = Index(path)
        index.keep_note("name", "value")
        assert index.note("name") in ("value", None) and len(index.uses()) in (0, 200)
        index.close()


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
def test_cut_short_it_is_made_anew_when_that_is_noticed(path, share):
    filled(path).close()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    index = Index(path)
    index.uses()
    is_of_use(index)


def test_lost_or_damaged_while_it_is_open(path):
    for damage in (Path.unlink, lambda part: part.write_bytes(b"\xff" * part.stat().st_size)):
        index = filled(path)
        for part in parts(path):
            if not part.name.endswith("-shm"):
                damage(part)
        is_of_use(index)
        is_of_use(Index(path))


def test_of_another_form_it_is_thrown_away(path):
    db = sqlite3.connect(path)
    db.execute("create table blob(digest text primary key, stat text, xxh3, used, more text)")
    db.execute("create table later(a)")
    db.commit()
    db.close()
    is_of_use(Index(path))


def test_tables_of_a_newer_version_stay(path):
    filled(path).close()
    db = sqlite3.connect(path)
    db.execute("create table later as select 7 as a")
    db.commit()
    is_of_use(Index(path))
    assert db.execute("select a from later").fetchall() == [(7,)]
    db.close()


def test_what_an_older_version_has_looked_up_is_kept(path):
    db = sqlite3.connect(path)
    db.executescript(
        "create table file(path text primary key, stat text not null, digest text not null,"
        " size integer not null) without rowid;"
        "create table note(name text primary key, value text not null) without rowid;"
        f"insert into file values('/w', 'stat', '{A}', 5); insert into note values('n', 'v');"
    )
    db.close()
    for _ in range(2):
        index = Index(path)
        assert index.file("/w", "stat") == (A, 5) and index.note("n") == "v"
        index.close()


def test_a_row_in_which_a_bit_flipped_is_as_good_as_none(path):
    index = filled(path)
    index.close()
    db = sqlite3.connect(path)
    db.execute("update looked set digest=?", (B,))
    db.execute("update noted set value='{1}'")
    db.commit()
    db.close()
    index = Index(path)
    assert index.file("/weights/1", "stat") is None and index.note("facts") is None
    is_of_use(index)


def test_a_flipped_bit_in_it_condemns_no_file(tmp_path):
    store = LocalStore(tmp_path / "store")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "w").write_bytes(b"weights")
    tree = store.add_folder(tmp_path / "out")
    (file,) = tree.files
    row = store.index.blob(file.digest)
    store.index.correct_blob(file.digest, row.stat, "0" * 32)
    store.look_anew()
    assert store.check_blob(file) and store.blob(file.digest).exists()
    assert store.index.blob(file.digest) == row
    store.close()


def test_held_by_another_for_long_it_says_what_to_do(path):
    filled(path).close()
    other = sqlite3.connect(path)
    other.execute("begin exclusive")
    with pytest.raises(StoreError, match=r"index\.sqlite cannot be used: database is locked"):
        is_of_use(Index(path, patience=0.1))
    other.rollback()
    other.close()
    index = Index(path)
    assert len(index.uses()) == 200, "and nothing was thrown away"
    index.close()


def test_one_that_cannot_be_written_to_is_replaced(path, monkeypatch):
    filled(path).close()
    connect = sqlite3.connect

    def readonly_once(_path, **more):
        monkeypatch.setattr(sqlite3, "connect", connect)
        return connect(f"file:{path}?mode=ro", uri=True, **more)

    monkeypatch.setattr(sqlite3, "connect", readonly_once)
    is_of_use(Index(path))


def test_two_that_have_it_open_survive_that_one_throws_it_away(path):
    first, second = filled(path), Index(path)
    path.write_bytes(b"junk" * 3000)
    is_of_use(first)
    is_of_use(second)
    is_of_use(Index(path))


def test_a_folder_in_its_place_is_an_error_that_says_so(path):
    (path / "in").mkdir(parents=True)
    with pytest.raises(StoreError, match="may be deleted|cannot be used"):
        Index(path)
    shutil.rmtree(path)
