"""What is known of files by their stat: sizes, sums, sources' digests. Derived; deletable.

The file system is the truth. Losing this file costs one pass of hashing and nothing else, so one
that is damaged is thrown away whenever that is noticed, and what there is no room for is not
written. What decides what is built has a sum of its own in it, since SQLite does not notice a bit
that flips. A table whose form changes gets another name, so that older and newer programs use one
index.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import xxhash

from ..core.digest import Digest
from .database import PATIENCE, Database

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


class BlobRow(NamedTuple):
    stat: str
    xxh3: str


class Index(Database):
    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        super().__init__(path, SCHEMA, _bring_over, patience)

    def blob(self, digest: Digest) -> BlobRow | None:
        for row in self.ask("select stat, xxh3 from blob where digest=?", digest):
            return BlobRow(str(row[0]), str(row[1]))
        return None

    def keep_blob(self, digest: Digest, stat: str, xxh3: str) -> None:
        """A blob was put in or placed, which is a use of it."""
        self.keep("insert or replace into blob values(?,?,?,?)", digest, stat, xxh3, time.time())

    def correct_blob(self, digest: Digest, stat: str, xxh3: str) -> None:
        """What is known of a blob has changed, without it having been used."""
        self.keep(
            "insert into blob values(?,?,?,?) on conflict(digest) do update "
            "set stat=excluded.stat, xxh3=excluded.xxh3", digest, stat, xxh3, time.time(),
        )  # fmt: skip

    def note_use(self, digests: Iterable[Digest]) -> None:
        """These are used now. What is known to a day is not written again, so that a command with
        nothing to do writes nothing."""
        which = json.dumps(list(digests))
        stale = "used < ? and digest in (select value from json_each(?))"
        at = time.time()
        if self.ask(f"select 1 from blob where {stale} limit 1", at - DAY, which):
            self.keep(f"update blob set used=? where {stale}", at, at - DAY, which)

    def uses(self) -> Mapping[Digest, float]:
        """When each blob was last used, to a day."""
        rows = self.ask("select digest, used from blob")
        return {Digest(digest): used for digest, used in rows if isinstance(used, float)}

    def forget_blob(self, digest: Digest) -> None:
        self.keep("delete from blob where digest=?", digest)

    def file(self, path: str, stat: str) -> tuple[Digest, int] | None:
        """The digest and size of a file outside the store, if its stat is as it was."""
        found = self.ask(
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
            self.keep("insert or replace into looked values(?,?,?,?,?)", *row, _sum(*row))

    def note(self, name: str) -> str | None:
        for value, claimed in self.ask("select value, sum from noted where name=?", name):
            return str(value) if claimed == _sum(name, value) else None
        return None

    def keep_note(self, name: str, value: str) -> None:
        self.keep("insert or replace into noted values(?,?,?)", name, value, _sum(name, value))

    def keep_spec(self, digest: Digest) -> None:
        self.keep("insert or ignore into spec values(?)", digest)

    def known_specs(self, digests: Iterable[Digest]) -> set[Digest]:
        known = {row[0] for row in self.ask("select digest from spec")}
        return {digest for digest in digests if digest in known}


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


def _sum(*row: object) -> str:
    return xxhash.xxh3_64_hexdigest(json.dumps(row).encode())
