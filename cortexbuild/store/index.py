"""What is known of files by their stat: sizes, sums, sources' digests. Derived; deletable.

The file system is the truth. Losing this file costs one pass of hashing and nothing else, so a
damaged one is thrown away, and what there is no room for is not written. SQLite in WAL mode; for a
local disk only.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..core.digest import Digest
from ..errors import StoreError
from . import disk

SCHEMA = """
create table if not exists blob(
    digest text primary key, stat text not null, xxh3 text not null, used real not null
) without rowid;
create table if not exists file(
    path text primary key, stat text not null, digest text not null, size integer not null
) without rowid;
create table if not exists spec(digest text primary key) without rowid;
create table if not exists note(name text primary key, value text not null) without rowid;
"""
DAY = 86_400.0
RACY = 2_000_000_000  # ns: a file younger than this when it was read may change unseen
REFUSED = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN
)  # fmt: skip
"""What SQLite says when the disk is full, failing or read-only."""
DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
PATIENCE = 30.0
"""Seconds to wait for others that write."""


class BlobRow(NamedTuple):
    stat: str
    xxh3: str


class Index:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in REFUSED:
                self._db = self._open_to_read()
                return
            if error.sqlite_errorcode & 0xFF not in DAMAGED:
                raise StoreError(
                    f"{path} cannot be used: {error}",
                    hint="it is an index and may be deleted while no cortexbuild runs",
                ) from error
            for name in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
                disk.unlink(name)
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        disk.make_folder(self._path.parent)
        db = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)
        try:
            _patiently(lambda: db.execute("pragma journal_mode=wal"))
            db.execute("pragma synchronous=normal")
            _patiently(lambda: db.executescript(SCHEMA))
        except sqlite3.DatabaseError:
            db.close()
            raise
        return db

    def _open_to_read(self) -> sqlite3.Connection:
        """Where nothing can be written: what was known is believed, or nothing is known."""
        log = self._path.with_name(f"{self._path.name}-wal")
        if self._path.exists() and not (log.exists() and log.stat().st_size):
            name = f"{self._path.absolute().as_uri()}?mode=ro&immutable=1"
            with suppress(sqlite3.DatabaseError):
                db = sqlite3.connect(name, uri=True, isolation_level=None)
                db.execute("select * from blob, file, spec, note limit 1")
                return db
        db = sqlite3.connect(":memory:", isolation_level=None)
        db.executescript(SCHEMA)
        return db

    def close(self) -> None:
        self._db.close()

    def _write(self, statement: str, values: Sequence[object]) -> None:
        try:
            self._db.execute(statement, values)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in REFUSED:
                raise

    def blob(self, digest: Digest) -> BlobRow | None:
        row = self._db.execute("select stat, xxh3 from blob where digest=?", (digest,)).fetchone()
        return BlobRow(*row) if row else None

    def keep_blob(self, digest: Digest, stat: str, xxh3: str) -> None:
        """A blob was put in or placed, which is a use of it."""
        self._write(
            "insert or replace into blob values(?,?,?,?)", (digest, stat, xxh3, time.time())
        )

    def correct_blob(self, digest: Digest, stat: str, xxh3: str) -> None:
        """What is known of a blob has changed, without it having been used."""
        self._write(
            "insert into blob values(?,?,?,?) on conflict(digest) do update "
            "set stat=excluded.stat, xxh3=excluded.xxh3",
            (digest, stat, xxh3, time.time()),
        )

    def note_use(self, digests: Iterable[Digest]) -> None:
        """These are used now. What is known to a day is not written again, so that a command with
        nothing to do writes nothing."""
        which = json.dumps(list(digests))
        stale = "used < ? and digest in (select value from json_each(?))"
        at = time.time()
        if self._db.execute(f"select 1 from blob where {stale}", (at - DAY, which)).fetchone():
            self._write(f"update blob set used=? where {stale}", (at, at - DAY, which))

    def uses(self) -> Mapping[Digest, float]:
        """When each blob was last used, to a day."""
        return dict(self._db.execute("select digest, used from blob"))

    def forget_blob(self, digest: Digest) -> None:
        self._write("delete from blob where digest=?", (digest,))

    def file(self, path: str, stat: str) -> tuple[Digest, int] | None:
        """The digest and size of a file outside the store, if its stat is as it was."""
        row = self._db.execute(
            "select digest, size from file where path=? and stat=?", (path, stat)
        ).fetchone()
        return (Digest(row[0]), row[1]) if row else None

    def keep_file(self, path: str, stat: str, mtime_ns: int, digest: Digest, size: int) -> None:
        """`mtime_ns` near now is not believed: a later write could keep it (git's racy rule)."""
        if mtime_ns < time.time_ns() - RACY:
            self._write("insert or replace into file values(?,?,?,?)", (path, stat, digest, size))

    def note(self, name: str) -> str | None:
        row = self._db.execute("select value from note where name=?", (name,)).fetchone()
        return str(row[0]) if row else None

    def keep_note(self, name: str, value: str) -> None:
        self._write("insert or replace into note values(?,?)", (name, value))

    def keep_spec(self, digest: Digest) -> None:
        self._write("insert or ignore into spec values(?)", (digest,))

    def known_specs(self, digests: Iterable[Digest]) -> set[Digest]:
        known = {row[0] for row in self._db.execute("select digest from spec")}
        return {digest for digest in digests if digest in known}


def _patiently(ask: Callable[[], object]) -> None:
    """SQLite does not wait by itself for others that make a database at the same time."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            ask()
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() > end:
                raise
            time.sleep(0.01)
