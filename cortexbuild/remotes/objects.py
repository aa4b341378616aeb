"""A shared cache in a bucket: S3 and what speaks like it, Google Cloud Storage, Azure.

The first thing asked is whether the bucket is there: of one that is not, a store says of every name
that it has none, and a wrong address would look like an empty cache.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock

from ..core.address import Address
from ..core.ahead import ask_ahead
from ..core.remote import Area, Moved, Pieces, RemoteObject
from ..errors import RemoteError
from .buckets import ASKING, READING, WRITING, open_bucket
from .listing import NAME
from .object_errors import may_not_list, told
from .ranges import ASKED_AT_ONCE, nothing, one_then_many

PART = 8 << 20
PARTS = 10_000
"""S3 takes no more of one content."""
PARTS_AT_ONCE = 4
PIECE = 1 << 20
LISTED = 1000


class ObjectRemote:
    def __init__(self, address: Address, root: Path) -> None:
        self._address = address
        self._asking = open_bucket(address, root, ASKING)
        self._reading = open_bucket(address, root, READING)
        self._writing = open_bucket(address, root, WRITING)
        self._lock, self._is_there = Lock(), False

    def sizes(self, area: Area, names: Sequence[str]) -> Mapping[str, int]:
        self._check_bucket()
        found = zip(names, ask_ahead(partial(self._size, area), names, ASKED_AT_ONCE), strict=True)
        return {name: size for name, size in found if size is not None}

    def _size(self, area: Area, name: str) -> int | None:
        with told(self._address, f"{area}/{name}"):
            try:
                return self._reading.head(f"{area}/{name}")["size"]
            except FileNotFoundError:
                return None

    def read(self, area: Area, name: str, start: int = 0) -> Pieces | None:
        from obstore.exceptions import GenericError

        self._check_bucket()
        key = f"{area}/{name}"
        with told(self._address, key):
            try:
                answer = self._reading.get(key, options={"range": {"offset": start}})
            except FileNotFoundError:
                return None
            except GenericError:  # a range that begins at the end or after it is one
                size = self._size(area, name)
                if size is not None and start >= size:
                    return nothing()
                raise
        size, tag = answer.meta["size"], answer.meta["e_tag"]

        def get(at: int, end: int) -> Iterator[bytes]:
            with told(self._address, key):
                more = self._reading.get(key, options={"range": (at, end)})
                if (more.meta["size"], more.meta["e_tag"]) != (size, tag):
                    raise RemoteError(
                        f"{self._address.url}/{key}: changed while it was read",
                        passing=True,
                        hint="run the command again",
                    )
                yield from more.stream(PIECE)

        def stream() -> Iterator[bytes]:
            with told(self._address, key):
                yield from answer.stream(PIECE)

        return one_then_many(stream(), get, start, size)

    def write(
        self, area: Area, name: str, source: Path, moved: Moved, *, only_new: bool = False
    ) -> bool:
        from obstore.exceptions import AlreadyExistsError

        self._check_bucket()
        key, size = f"{area}/{name}", source.stat().st_size
        with source.open("rb", buffering=0) as stream, told(self._address, key):
            if only_new or size <= PART:
                content = stream.read()
                try:
                    self._writing.put(key, content, mode="create" if only_new else "overwrite",
                                      use_multipart=False)  # fmt: skip
                except AlreadyExistsError:
                    return False
                moved(size)
                return True
            part = PART * -(-size // (PART * PARTS))
            self._writing.put(key, _pieces(stream, moved), use_multipart=True, chunk_size=part,
                              max_concurrency=PARTS_AT_ONCE)  # fmt: skip
        return True

    def entries(self, area: Area) -> Iterator[RemoteObject]:
        self._check_bucket()
        with told(self._address, f"{area}/"):
            for listed in self._reading.list(area, chunk_size=LISTED):
                for meta in listed:
                    name = meta["path"].rpartition("/")[2]
                    if meta["path"] == f"{area}/{name}" and NAME.fullmatch(name):
                        yield RemoteObject(name, meta["size"], meta["last_modified"].timestamp())

    def remove(self, area: Area, name: str) -> None:
        self._check_bucket()
        with told(self._address, f"{area}/{name}"):
            try:
                self._writing.delete(f"{area}/{name}")
            except FileNotFoundError:
                return

    def _check_bucket(self) -> None:
        from obstore.exceptions import BaseError

        with self._lock:
            if self._is_there:
                return
            with told(self._address):
                try:
                    next(iter(self._asking.list(chunk_size=1)), None)
                except BaseError as error:
                    if not may_not_list(error):  # who may not list may still read
                        raise
            self._is_there = True


def _pieces(stream: io.FileIO, moved: Moved) -> Iterator[bytes]:
    while piece := stream.read(PIECE):
        yield piece
        moved(len(piece))
