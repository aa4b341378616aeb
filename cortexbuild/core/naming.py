"""What a model is called where nobody has said it."""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import PurePosixPath

_SUFFIXES = (".gguf", ".safetensors", ".bin", ".npz")
_HUB = re.compile(r"([^/@]+/[^/@]+)(?:@(?:refs/pr/\d+|[^/]+))?(/.+)?")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")


def name_of(origin: str, taken: Container[str] = ()) -> str:
    """After the file or repository that a source names, in small letters, and unlike those taken.

    `hf:Qwen/Qwen2.5-7B-Instruct@main` is `qwen2.5-7b-instruct`.
    """
    _, _, place = origin.partition(":")
    place = place.partition("#")[0].rstrip("/")
    if origin.startswith("hf:"):
        found = _HUB.fullmatch(place)
        place = found[2] or found[1] if found else place
    word = PurePosixPath(place).name
    for suffix in _SUFFIXES:
        word = word.removesuffix(suffix)
    return unlike(word_of(_SHARD.sub("", word)), taken)


def word_of(text: str) -> str:
    """A text with nothing in it that a name may not have."""
    word = re.sub(r"[^a-z0-9._]+", "-", text.lower())
    return re.sub(r"-{2,}", "-", word).strip("-._")[:80] or "model"


def unlike(name: str, taken: Container[str]) -> str:
    """The name, with a number behind it where it is taken."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found
