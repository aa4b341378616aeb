"""Weights that other programs have brought to this machine: found by hash or size, and adopted.

Ollama and the Hub's cache name files by their sha256; LM Studio keeps them as `publisher/name/
file.gguf`. Whatever is found is hashed on its way in, so a wrong one is only a lost moment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..core.digest import File


def neighbours(file: File) -> Iterator[Path]:
    """Where the bytes of a file may lie already, the likeliest first."""
    for place in (*_hub_caches(), *_ollama(file), *_lm_studio(file)):
        found = sorted(place.glob(f"models--*/blobs/{file.digest}")) if place.is_dir() else [place]
        for path in found:
            if path.is_file() and path.stat().st_size == file.size:
                yield path


def hub_cache() -> Path:
    """The Hub's own cache, as huggingface-hub finds it."""
    if chosen := os.environ.get("HF_HUB_CACHE"):
        return Path(chosen).expanduser()
    home = os.environ.get("HF_HOME") or Path(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"
    )
    return Path(home).expanduser() / "hub"


def _hub_caches() -> list[Path]:
    return [hub_cache()]


def _ollama(file: File) -> list[Path]:
    chosen = os.environ.get("OLLAMA_MODELS")
    homes = [chosen] if chosen else ["~/.ollama/models", "/usr/share/ollama/.ollama/models"]
    return [Path(home).expanduser() / "blobs" / f"sha256-{file.digest}" for home in homes]


def _lm_studio(file: File) -> list[Path]:
    name = Path(file.path).name
    if not name.endswith((".gguf", ".safetensors")):
        return []
    found: list[Path] = []
    for home in ("~/.lmstudio/models", "~/.cache/lm-studio/models"):
        found += sorted(Path(home).expanduser().glob(f"*/*/{name}"))
    return found
