"""One content on its way here: hashed as it comes, gone on with after a drop, never too large."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import TypeVar

from ..core.digest import File
from ..core.remote import Area, Moved, Remote
from ..errors import IS_IT_UP, IntegrityError, RemoteError
from ..store import disk
from ..store.hashing import CHUNK, Summing, Sums

TRIES = 5
FIRST_WAIT = 0.5
"""Seconds before the second try; each wait is twice the one before."""
LEAST_PACE = 64 << 10
"""Bytes a second. What is slower than that for PATIENCE seconds is built sooner than brought."""
PATIENCE = 60.0

T = TypeVar("T")


def persist(ask: Callable[[], T], come: Callable[[], int] = lambda: 0) -> T:
    """Ask again while what goes wrong may pass; `come` counts what has come, and tries are counted
    from the last one after which there was more."""
    attempt, before = 0, come()
    while True:
        try:
            return ask()
        except RemoteError as error:
            if come() > before:
                attempt, before = 0, come()
            attempt += 1
            if not error.passing or attempt == TRIES:
                raise
            time.sleep(FIRST_WAIT * 2 ** (attempt - 1))


def in_turn(moved: Moved) -> Moved:
    """For several threads: it is told by one after the other."""
    lock = Lock()

    def told(count: int) -> None:
        with lock:
            moved(count)

    return told


def read_short(remote: Remote, area: Area, name: str, most: int) -> bytes | None:
    """A content that is small if it is right, or None; no more than `most` bytes and one of it."""
    pieces = remote.read(area, name)
    if pieces is None:
        return None
    content = bytearray()
    with closing(pieces):
        for piece in _in_time(pieces, f"{area}/{name}"):
            content += piece
            if len(content) > most:
                break
    return bytes(content[: most + 1])


def bring(remote: Remote, file: File, part: Path, moved: Moved) -> Sums | None:
    """Bring a content into `part`, behind what an earlier try left there. None: it is not there.

    The sums are of what came; comparing them is the caller's. Raises IntegrityError as soon as
    more comes than there should be, and RemoteError.
    """
    summing, have = Summing(), 0
    with disk.writing(part, "a+b") as stream:
        stream.seek(0)
        while piece := stream.read(CHUNK):
            summing.update(piece)
            have += len(piece)
        if have > file.size:  # of another life; begin again
            stream.truncate(0)
            summing, have = Summing(), 0

        def go_on() -> bool:
            nonlocal have
            if have == file.size and have > 0:
                return True
            pieces = remote.read("cas", file.digest, have)
            if pieces is None:
                return False
            with closing(pieces):
                for piece in _in_time(pieces, file.path):
                    if have + len(piece) > file.size:
                        raise IntegrityError(
                            f"`{file.path}` ({file.digest[:12]}) is more than the {file.size} "
                            "bytes that it should be",
                            hint="remove it from the remote: it is not what its name says",
                        )
                    disk.write(stream, piece)
                    summing.update(piece)
                    have += len(piece)
                    moved(len(piece))
            return True

        if not persist(go_on, lambda: have):
            return None
    return summing.sums()


def _in_time(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    since, count = time.monotonic(), 0
    for piece in pieces:
        yield piece
        count += len(piece)
        spent = time.monotonic() - since
        if spent > PATIENCE:
            if count < LEAST_PACE * spent:
                raise RemoteError(
                    f"`{name}` came at {count / spent / 1024:.0f} KiB/s; given up", hint=IS_IT_UP
                )
            since, count = time.monotonic(), 0
