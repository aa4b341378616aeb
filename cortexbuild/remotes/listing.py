"""What a web server says that it has: nginx's `autoindex_format json`, read with suspicion."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from ..core.remote import RemoteObject

NAME = re.compile(r"[0-9a-f]{64}")

LONGEST = 64 << 20
"""Bytes of a listing that are read: some 400 000 names."""


def parse_listing(text: bytes | bytearray) -> Iterator[RemoteObject]:
    """The files with names of ours. ValueError says what is wrong."""
    listed = json.loads(text)
    if not isinstance(listed, list):
        raise ValueError("no list")
    for entry in listed:
        if not isinstance(entry, dict):
            raise ValueError("an entry without fields")
        name, size, modified = (entry.get(field) for field in ("name", "size", "mtime"))
        if entry.get("type") != "file" or not isinstance(name, str) or not NAME.fullmatch(name):
            continue  # what is not ours is not told of, so it is never removed
        if type(size) is not int or size < 0 or not isinstance(modified, str):
            raise ValueError(f"`{name}` without a size or a time")
        try:
            yield RemoteObject(name, size, parsedate_to_datetime(modified).timestamp())
        except (ValueError, OverflowError) as error:
            raise ValueError(f"`{name}` with the time `{modified[:40]}`") from error
