"""The database under the index: opened, healed when it is damaged, and done without where it must.

SQLite in WAL mode; for a local disk only.
"""

from __future__ import annotations

import errno
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from ..errors import StoreError
from . import disk

DAMAGED = (
    sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR,
)  # fmt: skip
"""As no index of ours answers. One on a full disk, or that somebody holds, is not among them."""
REFUSED = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN
)  # fmt: skip
"""What SQLite says when the disk is full, failing or read-only."""
ERRORS = (sqlite3.Error, OSError, UnicodeDecodeError)
"""SQLite quotes a damaged schema, which Python may be unable to decode."""
UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EIO)
PATIENCE = 30.0
"""Seconds to wait for others that write."""

T = TypeVar("T")


class Database:
    """`schema` makes the tables that are not there; `settle` is called when it is opened for
    writing."""

    def __init__(
        self, path: Path, schema: str, settle: Callable[[sqlite3.Connection], None],
        patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self._path, self._schema = path, schema
        self._settle, self._patience = settle, patience
        self._db: sqlite3.Connection | None = None
        self._writes = True
        self._whole(self.opened)

    def ask(self, text: str, *values: str | float) -> list[Any]:
        return self._whole(lambda: self.opened().execute(text, values).fetchall())

    def keep(self, text: str, *values: str | float) -> None:
        """Write something that is only to save time: what there is no room for is not kept."""

        def write() -> None:
            if not self._writes:
                return
            try:
                self.opened().execute(text, values)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
                    raise

        self._whole(write)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def opened(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = self._open()
        return self._db

    def _open(self) -> sqlite3.Connection:
        disk.make_folder(self._path.parent)
        db = sqlite3.connect(self._path, timeout=self._patience, isolation_level=None)
        try:
            self._patiently(lambda: db.execute("pragma journal_mode=wal"))
            db.execute("pragma synchronous=normal")
            self._patiently(lambda: db.executescript(self._schema))
            self._settle(db)
        except ERRORS:
            db.close()
            raise
        return db

    def _open_to_read(self) -> sqlite3.Connection:
        """Where nothing can be written: what was known is believed, or nothing is known."""
        log = Path(f"{self._path}-wal")
        if self._path.exists() and not (log.exists() and log.stat().st_size):
            name = f"{self._path.absolute().as_uri()}?mode=ro&immutable=1"
            with suppress(*ERRORS):
                db = sqlite3.connect(name, uri=True, isolation_level=None)
                for table in re.findall(r"create table if not exists (\w+)", self._schema):
                    db.execute(f"select * from {table} limit 1")
                return db
        db = sqlite3.connect(":memory:", isolation_level=None)
        db.executescript(self._schema)
        return db

    def _whole(self, work: Callable[[], T]) -> T:
        """What `work` comes to; with one that is damaged, once more with an empty one; and where
        nothing can be written, with what can be read."""
        try:
            try:
                return work()
            except ERRORS as error:
                damaged = _is(error, DAMAGED)
                if not damaged and not _is(error, REFUSED):
                    raise
            self.close()
            try:
                if damaged:
                    self._throw_away()
                    return work()
            except ERRORS as error:
                if not _is(error, REFUSED):
                    raise
            self._db, self._writes = self._open_to_read(), False
            return work()
        except ERRORS as error:
            raise StoreError(
                f"{self._path} cannot be used: {error}",
                hint="it is an index and may be deleted while no cortexbuild runs",
            ) from error

    def _throw_away(self) -> None:
        """Whoever has the old one open goes on with that, and notices nothing."""
        for name in (self._path, *(Path(f"{self._path}-{end}") for end in ("wal", "shm"))):
            disk.unlink(name)

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


def _is(error: Exception, codes: tuple[int, ...]) -> bool:
    """An error of Python's own about what it read has no code, and means damage."""
    if isinstance(error, OSError):
        return error.errno in UNWRITABLE and codes is REFUSED
    if not isinstance(error, sqlite3.DatabaseError | UnicodeDecodeError):
        return False
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in codes
