"""Bring one remote file: from where it lies already, or over the network, resumed and retried."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

from ..core.digest import File
from ..core.ports import Delivery
from ..errors import IntegrityError, RemoteError
from ._network import length_of, network_errors

TRIES = 6
LONGEST_WAIT = 60.0
"""Seconds. A server may ask for more with Retry-After, and then one is told to come later."""

AGAIN = (408, 429, 500, 502, 503, 504)


Way: TypeAlias = Callable[[File, str, Mapping[str, str], Path, Callable[[int], None]], None]
"""Another way to bring all of a file, or nothing of it. It tells of bytes that come."""


def download(
    file: File, url: str, headers: Mapping[str, str], delivery: Delivery, first: Way | None = None
) -> None:
    """Bring a file, from where an earlier try ended, unless the `first` way brings it whole. What
    a dropped connection costs is less than one chunk of huggingface-hub, 10 MB."""
    part = delivery.part(file)
    part.touch()
    if first is not None:
        first(file, url, headers, part, delivery.moved)
    with part.open("ab") as stream:
        _collect(stream, file, url, headers, delivery)
    delivery.take(file.path, part)


def _collect(
    stream: BinaryIO, file: File, url: str, headers: Mapping[str, str], delivery: Delivery
) -> None:
    from huggingface_hub.file_download import http_get

    for attempt in range(TRIES):
        have = stream.seek(0, 2)
        if have == file.size:
            return
        if have > file.size:  # of another life; begin again
            stream.truncate(0)
            have = stream.seek(0)
        watched = _Watched(stream, delivery, file)
        try:
            http_get(
                url, cast(BinaryIO, watched), resume_size=have, headers=dict(headers),
                expected_size=file.size, displayed_filename=file.path,
            )  # fmt: skip
            stream.flush()
        except network_errors() as error:
            stream.flush()
            if attempt == TRIES - 1 or not is_passing(error):
                raise
            time.sleep(wait(error, attempt))


class _Watched:
    """A file that tells of what is written into it, and takes no more than there should be: what
    is packed may unpack to any size."""

    def __init__(self, stream: BinaryIO, delivery: Delivery, file: File) -> None:
        self._stream, self._delivery, self._file = stream, delivery, file

    def write(self, chunk: bytes) -> int:
        if self._stream.tell() + len(chunk) > self._file.size:
            raise IntegrityError(
                f"`{self._file.path}`: more comes than the {self._file.size} bytes that were "
                "pinned",
                hint="it was changed there; `cortexbuild lock --upgrade` pins it anew",
            )
        self._delivery.moved(len(chunk))
        return self._stream.write(chunk)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def is_passing(error: Exception) -> bool:
    """Whether the same may work in a moment."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status in AGAIN if status is not None else isinstance(error, network_errors())


def wait(error: Exception, attempt: int) -> float:
    """Seconds to wait before trying again: what the server asks for, or ever longer."""
    response = getattr(error, "response", None)
    said = response.headers.get("Retry-After", "") if response is not None else ""
    if (seconds := length_of(said)) is not None:
        if seconds > LONGEST_WAIT:
            raise RemoteError(
                f"the server asks to come again in {seconds} seconds", hint="sync again then"
            ) from error
        return float(seconds)
    return float(min(2**attempt * 0.5, LONGEST_WAIT))
