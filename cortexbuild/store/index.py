"""What is known of files by their stat: sizes, sums, sources' digests. Derived; deletable.

The file system is the truth. Losing this file costs one pass of hashing and nothing else, so one
that is damaged, or that cannot be written to, is thrown away whenever that is noticed. What
decides what is built has a sum of its own in it, since SQLite does not notice a bit that flips. A
table whose form changes gets another name, so that older and newer programs use one index.
SQLite in WAL mode; for a local disk only.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import xxhash

from ..core.digest import Digest
from ..errors import StoreError

SCHEMA = """
create table if not exists blob(
    digest text primary key, stat text not null, xxh3 text not null, used real not null
) without rowid;
create table if not exists looked(
    path text primary key, stat text not null, digest text not null, size integer not null,
    sum text not null
) without rowid;
create table if not exists spec(digest text primary key) without rowid;
create table if not exists noted(
    name text primary key, value text not null, sum text not null
) without rowid;
"""
FORMER = {
    "file": ("select path, stat, digest, size from file", "looked values(?,?,?,?,?)"),
    "note": ("select name, value from note", "noted values(?,?,?)"),
}
"""Tables of before rows had sums: where their rows belong now."""
DAY = 86_400.0
RACY = 2_000_000_000  # ns: a file younger than this when it was read may change unseen
DAMAGED = (
    sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR,
)  # fmt: skip
"""As no index of ours answers. One on a full disk, or that somebody holds, is not among them."""
PATIENCE = 30.0
"""Seconds to wait for others that write."""


T = TypeVar("T")


class BlobRow(NamedTuple):
    stat: str
    xxh3: str


class Index:
    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        self._path, self._patience = path, patience
        self._db: sqlite3.Connection | None = None
        self._whole(self._opened)

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = self._open()
        return self._db

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, timeout=self._patience, isolation_level=None)
        try:
            self._patiently(lambda: db.execute("pragma journal_mode=wal"))
            db.execute("pragma synchronous=normal")
            self._patiently(lambda: db.executescript(SCHEMA))
            _bring_over(db)
        except sqlite3.DatabaseError:
            db.close()
            raise
        return db

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def blob(self, digest: Digest) -> BlobRow | None:
        for row in self._ask("select stat, xxh3 from blob where digest=?", digest):
            return BlobRow(str(row[0]), str(row[1]))
        return None

    def keep_blob(self, digest: Digest, stat: str, xxh3: str) -> None:
        """A blob was put in or placed, which is a use of it."""
        self._ask("insert or replace into blob values(?,?,?,?)", digest, stat, xxh3, time.time())

    def correct_blob(self, digest: Digest, stat: str, xxh3: str) -> None:
        """What is known of a blob has changed, without it having been used."""
        self._ask(
            "insert into blob values(?,?,?,?) on conflict(digest) do update "
            "set stat=excluded.stat, xxh3=excluded.xxh3", digest, stat, xxh3, time.time(),
        )  # fmt: skip

    def note_use(self, digests: Iterable[Digest]) -> None:
        """These are used now. What is known to a day is not written again, so that a command with
        nothing to do writes nothing."""
        which = json.dumps(list(digests))
        stale = "used < ? and digest in (select value from json_each(?))"
        at = time.time()
        if self._ask(f"select 1 from blob where {stale} limit 1", at - DAY, which):
            self._ask(f"update blob set used=? where {stale}", at, at - DAY, which)

    def uses(self) -> Mapping[Digest, float]:
        """When each blob was last used, to a day."""
        rows = self._ask("select digest, used from blob")
        return {Digest(digest): used for digest, used in rows if isinstance(used, float)}

    def forget_blob(self, digest: Digest) -> None:
        self._ask("delete from blob where digest=?", digest)

    def file(self, path: str, stat: str) -> tuple[Digest, int] | None:
        """The digest and size of a file outside the store, if its stat is as it was."""
        found = self._ask(
            "select path, stat, digest, size, sum from looked where path=? and stat=?", path, stat
        )
        for *row, claimed in found:
            if claimed == _sum(*row):
                return Digest(row[2]), row[3]
        return None

    def keep_file(self, path: str, stat: str, mtime_ns: int, digest: Digest, size: int) -> None:
        """`mtime_ns` near now is not believed: a later write could keep it (git's racy rule)."""
        if mtime_ns < time.time_ns() - RACY:
            row = (path, stat, digest, size)
            self._ask("insert or replace into looked values(?,?,?,?,?)", *row, _sum(*row))

    def note(self, name: str) -> str | None:
        for value, claimed in self._ask("select value, sum from noted where name=?", name):
            return str(value) if claimed == _sum(name, value) else None
        return None

    def keep_note(self, name: str, value: str) -> None:
        self._ask("insert or replace into noted values(?,?,?)", name, value, _sum(name, value))

    def keep_spec(self, digest: Digest) -> None:
        self._ask("insert or ignore into spec values(?)", digest)

    def known_specs(self, digests: Iterable[Digest]) -> set[Digest]:
        known = {row[0] for row in self._ask("select digest from spec")}
        return {digest for digest in digests if digest in known}

    def _ask(self, text: str, *values: str | float) -> list[Any]:
        return self._whole(lambda: self._opened().execute(text, values).fetchall())

    def _whole(self, work: Callable[[], T]) -> T:
        """What `work` comes to; with an index that is damaged, once more with an empty one."""
        try:
            try:
                return work()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
            # Whoever has the old one open goes on with that, and notices nothing.
            self.close()
            for name in (self._path, *(Path(f"{self._path}-{end}") for end in ("wal", "shm"))):
                name.unlink(missing_ok=True)
            return work()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{self._path} cannot be used: {error}",
                hint="it is an index and may be deleted while no cortexbuild runs",
            ) from error

    def _patiently(self, ask: Callable[[], object]) -> None:
        """SQLite does not wait by itself for others that make a database at the same time."""
        end = time.monotonic() + self._patience
        while True:
            try:
                ask()
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                if not busy or time.monotonic() > end:
                    raise
                time.sleep(0.01)


def _bring_over(db: sqlite3.Connection) -> None:
    """What an older cortexbuild has looked up need not be looked up again."""
    tables = {row[0] for row in db.execute("select name from sqlite_master where type='table'")}
    for table in FORMER.keys() & tables:
        rows, into = FORMER[table]
        with suppress(sqlite3.OperationalError), db:  # another process does it now
            db.execute("begin immediate")
            found = [(*row, _sum(*row)) for row in db.execute(rows)]
            db.executemany(f"insert or ignore into {into}", found)
            db.execute(f"drop table {table}")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """An error of Python's own about what it read has no code."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in DAMAGED


def _sum(*row: object) -> str:
    return xxhash.xxh3_64_hexdigest(json.dumps(row).encode())
