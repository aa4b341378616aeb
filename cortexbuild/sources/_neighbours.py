"""Weights that other programs have brought to this machine: found by hash or size, and adopted.

Ollama and the Hub's cache name files by their sha256; LM Studio keeps them as `publisher/name/
file.gguf`. Whatever is found is hashed on its way in, so a wrong one is only a lost moment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..core.digest import File
from ..core.ports import Delivery
from ..errors import IntegrityError
from ._found import lm_studio_homes, ollama_homes


def adopt(file: File, delivery: Delivery) -> bool:
    """Take a file in from where it lies already; whether it was found, whole."""
    for place in neighbours(file):
        try:
            delivery.link(file.path, place)
        except IntegrityError:
            continue  # damaged there, and not ours to mend; it is brought anew
        return True
    return False


def neighbours(file: File) -> Iterator[Path]:
    """Where the bytes of a file may lie already, the likeliest first."""
    from huggingface_hub.constants import HF_HUB_CACHE

    cached = sorted(Path(HF_HUB_CACHE).glob(f"models--*/blobs/{file.digest}"))
    for path in (*cached, *_ollama(file), *_lm_studio(file)):
        if path.is_file() and path.stat().st_size == file.size:
            yield path


def _ollama(file: File) -> list[Path]:
    homes = ollama_homes(Path.home(), os.environ)
    return [home / "blobs" / f"sha256-{file.digest}" for home in homes]


def _lm_studio(file: File) -> list[Path]:
    name = Path(file.path).name
    if not name.endswith((".gguf", ".safetensors")):
        return []
    found: list[Path] = []
    for home in lm_studio_homes(Path.home()):
        found += sorted(home.glob(f"*/*/{name}"))
    return found
