"""What all readers of foreign bytes share: limits, refusals, and JSON that may be hostile."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..errors import FETCH_AGAIN, IntegrityError
from ..errors import shown as shown

MAX_HEADER = 100_000_000
"""Bytes. The limit of the safetensors library; the largest GGUF vocabularies need a tenth of it."""

LFS_POINTER = b"version https://git-lfs"
_FETCH_LFS = "this is a Git LFS pointer and not the file itself; run `git lfs pull`"


def refuse(where: str, what: str, *, start: bytes = b"", hint: str = FETCH_AGAIN) -> IntegrityError:
    """The error for bytes that are not what they should be. `start` are the first of them."""
    pointer = start and start == LFS_POINTER[: len(start)]
    return IntegrityError(f"{where}: {what}", hint=_FETCH_LFS if pointer else hint)


def parse_object(blob: bytes, where: str, *, strict: bool) -> dict[str, Any]:
    """A JSON object.

    `strict` is for headers: it also refuses what readers disagree about (a key written twice, NaN,
    text that is no Unicode). A config.json may have these, as Python writes and reads them.
    """
    try:
        text = blob.decode("utf-8")
        if strict:
            value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        else:
            value = json.loads(text)
    except RecursionError:
        raise refuse(where, "its JSON is nested too deeply") from None
    except ValueError as error:
        raise refuse(where, f"not JSON: {error}", start=blob[:23]) from error
    if not isinstance(value, dict):
        raise refuse(where, "expected a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {shown(twice)} stands twice")
    for key, value in pairs:
        key.encode()  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
        if isinstance(value, str):
            value.encode()
    return table


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
