"""What the sources beyond this machine share: whether they may be asked, and reading by ranges."""

from __future__ import annotations

import io
import os
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import BinaryIO, cast

from ..errors import RemoteError

BLOCK = 1 << 18
"""Bytes asked for at once. The header of a model of 8 B has 30 kB, the metadata of a GGUF 8 MB."""


MOST_WHOLE = 64 << 20
"""Bytes of a file that is taken whole from a server that does not know of ranges."""


def is_offline(*more: str) -> bool:
    """Whether `--offline` or CORTEX_OFFLINE forbids the network, or one of `more` variables."""
    said = (os.environ.get(name, "").lower() for name in ("CORTEX_OFFLINE", *more))
    return any(word in ("1", "true", "yes", "on") for word in said)


def check_online(origin: str, *more: str) -> None:
    if is_offline(*more):
        raise RemoteError(
            f"{origin} is not pinned in cortex.lock, and the network is not to be used",
            hint="run `cortexbuild lock` once without `--offline`",
        )


def network_errors() -> tuple[type[Exception], ...]:
    """What may be raised by asking another machine for something."""
    from huggingface_hub.errors import HTTPError

    return (HTTPError, OSError)


def login_of(host: str) -> str:
    """The user and password that ~/.netrc, or the file that NETRC names, has for a host, as HTTP
    writes them; nothing where it has none or cannot be read."""
    from netrc import NetrcParseError, netrc

    with suppress(OSError, NetrcParseError):
        if known := netrc(os.environ.get("NETRC")).authenticators(host):
            return b64encode(f"{known[0]}:{known[2]}".encode()).decode()
    return ""


class RangeReader(io.RawIOBase):
    """A remote file of `size` bytes, read by ranges: no more of it comes than is looked at.

    `get` gives the bytes from a start up to an end.
    """

    def __init__(self, size: int, get: Callable[[int, int], bytes]) -> None:
        self._size, self._get, self._at = size, get, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        end = min(self._at + len(buffer), self._size)
        content = self._get(self._at, end) if end > self._at else b""
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def content_of(url: str, headers: Mapping[str, str], most: int) -> tuple[int, bytes]:
    """The status of an answer and up to `most` bytes of what is there, as they are: a server that
    packs them unasked, or never ends, takes no memory by it. Raises RemoteError for more."""
    from huggingface_hub.utils import get_session, hf_raise_for_status

    plain = {**headers, "Accept-Encoding": "identity"}
    content = bytearray()
    with get_session().stream("GET", url, headers=plain, follow_redirects=True) as answer:
        if answer.is_error:
            answer.read()
        hf_raise_for_status(answer)
        for piece in answer.iter_raw():
            content += piece
            if len(content) > most:
                raise RemoteError(
                    f"{url}: more comes than the {most} bytes asked for",
                    hint="the server, or a proxy before it, answers something else; try again",
                )
    return answer.status_code, bytes(content)


def length_of(said: str) -> int | None:
    """The number in a header, Content-Length for one; None for what is none."""
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else None


def open_by_ranges(url: str, size: int, headers: Mapping[str, str]) -> BinaryIO:
    """The file at `url` as a stream that fetches what is read of it."""

    def get(start: int, end: int) -> bytes:
        asked = {**headers, "Range": f"bytes={start}-{end - 1}"}
        status, content = content_of(url, asked, MOST_WHOLE if size <= MOST_WHOLE else end - start)
        return content[start:end] if status == 200 else content[: end - start]

    return cast(BinaryIO, io.BufferedReader(RangeReader(size, get), BLOCK))
