"""Traces as text: one canonical JSON document each, read suspiciously.

A sum of all the rest stands in it: nothing else would tell of a bit that flipped in the name of a
file. Those of before there were sums are read without.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import xxhash

from ..core.digest import Digest, File, Tree
from ..core.step import StepKey, Trace, key_of

MOST = 64 << 20  # bytes; a trace of 100,000 files has 15 MB


def trace_to_text(trace: Trace) -> str:
    signed = {"signatures": dict(trace.signatures)} if trace.signatures else {}
    value = {
        **signed,
        "key": trace.key,
        "ingredients": trace.ingredients,
        "tree": [[file.path, file.digest, file.size] for file in trace.tree.files],
        "label": trace.label,
        "made": dict(trace.made),
    }
    return _canonical({**value, "sum": _sum(_canonical(value))}) + "\n"


def trace_from_text(text: str) -> Trace:
    """Raises ValueError or IntegrityError for anything that is not a trace of the key it has."""
    if len(text) > MOST:
        raise ValueError("too large for a trace")
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("not a trace: nested without end") from error
    if not isinstance(value, dict):
        raise ValueError("not a trace")
    try:
        tree = Tree(tuple(_file(entry) for entry in value["tree"]))
        made = {str(name): str(item) for name, item in value["made"].items()}
        signed = {str(name): str(item) for name, item in value.get("signatures", {}).items()}
        ingredients = dict(value["ingredients"])
        key, label = StepKey(str(value["key"])), str(value["label"])
        claimed = value.pop("sum", None)
        found = _sum(_canonical(value))  # half of a letter is none
        if not all(text.isprintable() for text in (label, *made, *made.values(), *signed)):
            raise ValueError("not a trace: text that cannot be shown")
        if claimed not in (None, found):
            raise ValueError("not a trace: it is not as it was written")
        if key_of(ingredients) != key:
            raise ValueError("not a trace: its key is not that of its ingredients")
        return Trace(key, ingredients, tree, label, made, signed)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a trace: {error}") from error


def _canonical(value: Mapping[str, object]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _sum(text: str) -> str:
    return xxhash.xxh3_64_hexdigest(text.encode())


def _file(entry: Any) -> File:
    path, digest, size = entry
    if not isinstance(path, str) or type(size) is not int or size < 0:
        raise ValueError("not a file of a trace")
    if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError("not a digest")
    return File(path, Digest(digest), size)
