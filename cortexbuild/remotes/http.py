"""A shared cache behind a web server: nginx with WebDAV, bazel-remote, anything that takes a PUT.

One stream brings a content: over loopback several ranges at a time were no faster and took four
times the memory, and several files of a model come at a time anyway (`receive.py`).
Nothing is tried again here, that is done for all remotes in one place.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, cast

from urllib3 import BaseHTTPResponse, Retry, Timeout

from ..core.address import Address
from ..core.ahead import ask_ahead
from ..core.remote import Area, Moved, Pieces, RemoteObject
from ..errors import NOT_HTTP, RemoteError, shown
from .answers import refused, told
from .credentials import credentials, open_pool, variable
from .listing import LONGEST, parse_listing
from .ranges import ASKED_AT_ONCE, nothing

CONNECT = 10.0
SILENCE = 30.0
"""Seconds: for a connection, and without a byte."""
SETTLED = 300.0
"""Seconds until a PUT is answered: a proxy in front may pass it on only when it has all of it."""

PIECE = 1 << 17
"""Bytes at a time: a server that gives a few of them now and then is noticed after one piece."""
REDIRECTS = 3
SHORT = 1 << 16
NONE: Mapping[str, str] = {}


class HttpRemote:
    def __init__(self, address: Address, root: Path) -> None:
        self._url = address.url
        self._pool = open_pool(address, root)
        self._headers = credentials(address)
        token, user, password = (variable(address, w) for w in ("TOKEN", "USER", "PASSWORD"))
        self._who = (
            f"credentials are looked for in {token}, in {user} and {password}, and in ~/.netrc: "
            + ("those found were not taken" if self._headers else "none were found")
        )

    def sizes(self, area: Area, names: Sequence[str]) -> Mapping[str, int]:
        found = zip(
            names, ask_ahead(lambda name: self._size(area, name), names, ASKED_AT_ONCE), strict=True
        )
        return {name: size for name, size in found if size is not None}

    def _size(self, area: Area, name: str) -> int | None:
        url = self._at(area, name)
        answer = self._ask("HEAD", url)
        answer.drain_conn()
        if answer.status in (404, 410):
            return None
        self._check("HEAD", url, answer, 200)
        size = _number(answer.headers.get("Content-Length", ""))
        if size is None:
            raise RemoteError(f"HEAD {url}: the server does not say how large it is", hint=NOT_HTTP)
        return size

    def read(self, area: Area, name: str, start: int = 0) -> Pieces | None:
        url = self._at(area, name)
        answer = self._ask("GET", url, {"Range": f"bytes={start}-"} if start else {})
        if answer.status in (404, 410, 416):
            _leave(answer)
            return nothing() if answer.status == 416 and start else None
        self._check("GET", url, answer, 200, 206)
        if answer.status == 206:
            _check_range(url, answer, start)
        pieces = _pieces(url, answer, 0 if answer.status == 206 else start)
        next(pieces)  # it waits inside of what ends the answer, so that a `close` does that
        return pieces

    def write(
        self, area: Area, name: str, source: Path, moved: Moved, *, only_new: bool = False
    ) -> bool:
        if only_new and self._size(area, name) is not None:
            return False
        url = self._at(area, name)
        with source.open("rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
            answer = self._ask("PUT", url, headers, _Told(stream, moved))
            self._check("PUT", url, answer, 200, 201, 204)
        _leave(answer)
        return True

    def entries(self, area: Area) -> Iterator[RemoteObject]:
        url = f"{self._url}/{area}/"
        found = self._listed(url)
        if found is None:  # nothing was put there yet, if the folder above it is listed
            url = f"{self._url}/"
            if self._listed(url) is None:
                raise self._unlisted(url, "404 Not Found")
        return iter(found or ())

    def _listed(self, url: str) -> list[RemoteObject] | None:
        answer = self._ask("GET", url)
        if answer.status in (403, 404):
            _leave(answer)
            if answer.status == 404:
                return None
            raise self._unlisted(url, "403 Forbidden")
        self._check("GET", url, answer, 200)
        text = bytearray()
        with closing(_pieces(url, answer, 0)) as pieces:
            for piece in pieces:
                text += piece
                if len(text) > LONGEST:
                    raise RemoteError(
                        f"GET {url}: a list of more than {LONGEST >> 20} MiB", hint=NOT_HTTP
                    )
        try:
            return list(parse_listing(text))
        except (ValueError, RecursionError) as error:
            raise self._unlisted(url, str(error)) from error

    def _unlisted(self, url: str, why: str) -> RemoteError:
        return RemoteError(
            f"GET {url}: this server does not list what it has: {why}",
            hint="nginx does with `autoindex_format json`: docs/guides/share-a-cache-with-nginx.md"
            + (f"; {self._who}" if why.startswith("403") else ""),
        )

    def remove(self, area: Area, name: str) -> None:
        url = self._at(area, name)
        answer = self._ask("DELETE", url)
        self._check("DELETE", url, answer, 200, 202, 204, 404, 410)
        _leave(answer)

    def _at(self, area: Area, name: str) -> str:
        return f"{self._url}/{area}/{name}"

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str] = NONE, body: _Told | None = None
    ) -> BaseHTTPResponse:
        """What the server answers, whatever that is; its content is still to come."""
        patience = Timeout(connect=CONNECT, read=SILENCE)
        if body is not None:  # the limit of the connection is also that of each block sent
            patience = Timeout(connect=SILENCE, read=SETTLED)
        with told(method, url):
            return self._pool.request(
                method, url, body=cast(BinaryIO, body), headers={**self._headers, **headers},
                timeout=patience, redirect=method in ("GET", "HEAD"), preload_content=False,
                decode_content=False,
                retries=Retry(None, connect=0, read=0, other=0, redirect=REDIRECTS),
            )  # fmt: skip

    def _check(self, method: str, url: str, answer: BaseHTTPResponse, *fine: int) -> None:
        if answer.status not in fine:
            _leave(answer)
            raise refused(method, url, answer.status, self._who)


class _Told:
    """A file that tells how much of it was taken."""

    def __init__(self, stream: io.FileIO, moved: Moved) -> None:
        self._stream, self._moved = stream, moved

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self._moved(len(piece))
        return piece


def _pieces(url: str, answer: BaseHTTPResponse, skip: int) -> Pieces:
    """The content from byte `skip` on, after an empty piece."""
    with closing(answer), told("GET", url):
        yield b""
        while piece := answer.read(PIECE):
            if len(piece) > skip:
                yield piece[skip:] if skip else piece
            skip = max(0, skip - len(piece))


def _check_range(url: str, answer: BaseHTTPResponse, start: int) -> None:
    said = answer.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", said, re.ASCII)
    if found is None or (int(found[1]), int(found[2]) + 1) != (start, int(found[3])):
        answer.close()
        raise RemoteError(
            f"GET {url}: asked for bytes from {start} on, the answer is {shown(said)}",
            hint=NOT_HTTP,
        )


def _number(said: str) -> int | None:
    """In a header; Python reads no more than 4300 digits, and a server may send them."""
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else None


def _leave(answer: BaseHTTPResponse) -> None:
    """Without what it says: short is read, so that the connection can be used again."""
    length = _number(answer.headers.get("Content-Length", ""))
    if length is not None and length <= SHORT:
        answer.drain_conn()
    else:
        answer.close()
