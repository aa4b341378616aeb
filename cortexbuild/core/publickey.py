"""The public half of a key that signs, as people hand it on: `ci-2026:BASE64`."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated

from pydantic import AfterValidator

BYTES = 32
"""Of an ed25519 public key (RFC 8032)."""
KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def split_key(text: str) -> tuple[str, bytes]:
    """The name and the bytes of a key. Raises ValueError for what is none."""
    name, _, rest = text.partition(":")
    try:
        raw = base64.b64decode(rest, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not KEY_NAME.fullmatch(name) or len(raw) != BYTES:
        raise ValueError("a key is written `name:BASE64`, as `cortexbuild keys export` prints it")
    return name, raw


def _a_key(text: str) -> str:
    split_key(text)
    return text


PublicKeyText = Annotated[str, AfterValidator(_a_key)]
"""`name:BASE64`, the 32 bytes of an ed25519 public key."""
