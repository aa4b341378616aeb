"""Reading bytes once for both of their names: sha256, the identity, and xxh3, the rot guard.

Chunks and methods are by measurement (`bench/hashing`). Mapping a file would take a tenth less;
but one that is cut short meanwhile kills the process that reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable
from contextlib import closing
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import xxhash

from ..core.digest import Digest
from . import disk

CHUNK = 4 << 20
NEAR = 1 << 20
"""Of chunks that are only looked at once: they stay in the processor's cache after the reading."""


class Sums(NamedTuple):
    sha256: Digest
    xxh3: str
    size: int


class Summing:
    """Both sums of a stream, chunk by chunk."""

    def __init__(self) -> None:
        self._sha256, self._xxh3, self._size = hashlib.sha256(), xxhash.xxh3_128(), 0

    def update(self, chunk: bytes | memoryview) -> None:
        self._sha256.update(chunk)
        self._xxh3.update(chunk)
        self._size += len(chunk)

    def sums(self) -> Sums:
        return Sums(Digest(self._sha256.hexdigest()), self._xxh3.hexdigest(), self._size)


def sums_of(path: Path) -> Sums:
    if path.stat().st_size > CHUNK:
        return _sums_of_large(path)
    summing = Summing()
    for chunk in _chunks(path, CHUNK):
        summing.update(chunk)
    return summing.sums()


def xxh3_of(path: Path) -> str:
    """At memory speed: about six times as fast as sha256. Never an identity."""
    digest = xxhash.xxh3_128()
    for chunk in _chunks(path, NEAR):
        digest.update(chunk)
    return digest.hexdigest()


def write_summed(chunks: Iterable[bytes | memoryview], path: Path) -> Sums:
    """Write a file, and hash what is written."""
    summing = Summing()
    with disk.writing(path) as writer:
        for chunk in chunks:
            summing.update(chunk)
            disk.write(writer, chunk)
    return summing.sums()


def _sums_of_large(path: Path) -> Sums:
    """While this thread takes the sha256 of a chunk, another reads the next and takes its xxh3: a
    fifth less time."""
    from concurrent.futures import ThreadPoolExecutor

    sha256, xxh3, size = hashlib.sha256(), xxhash.xxh3_128(), 0

    def ahead() -> memoryview | None:
        chunk = next(chunks, None)
        if chunk is not None:
            xxh3.update(chunk)
        return chunk

    with closing(_chunks(path, CHUNK, CHUNK)) as chunks, ThreadPoolExecutor(1) as other:
        coming = other.submit(ahead)
        while (chunk := coming.result()) is not None:
            coming = other.submit(ahead)
            sha256.update(chunk)
            size += len(chunk)
    return Sums(Digest(sha256.hexdigest()), xxh3.hexdigest(), size)


def _chunks(path: Path, *rooms: int) -> Generator[memoryview, None, None]:
    """A file, in turn in buffers of these sizes: a chunk is good until its buffer's next turn."""
    buffers = [memoryview(bytearray(room)) for room in rooms]
    with path.open("rb", buffering=0) as file:
        for buffer in cycle(buffers):
            count = file.readinto(buffer)
            if not count:
                return
            yield buffer[:count]
