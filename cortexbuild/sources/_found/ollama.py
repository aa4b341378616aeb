"""Ollama's models: `manifests/HOST/OWNER/NAME/TAG`, whose layers are `blobs/sha256-…`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from .found import Found

WHERE = "Ollama"
MOST = 1 << 20
"""Bytes of a manifest; one has two thousand."""
_MODEL, _ADAPTER = "application/vnd.ollama.image.model", "application/vnd.ollama.image.adapter"
_HUB = ("hf.co", "huggingface.co")


def ollama_models(home: Path) -> Iterator[Found]:
    """One for each manifest whose weights are a GGUF file that is there."""
    for path in sorted((home / "manifests").glob("*/*/*/*")):
        if found := _found(home, path):
            yield found


def find_ollama(home: Path, said: str) -> Found | None:
    """What Ollama's users call so: `llama3.2`, `llama3.2:3b`, `hf.co/org/name:Q4_K_M`."""
    name, _, tag = said.partition(":")
    parts = name.split("/")
    parts = ["registry.ollama.ai", "library"][: max(0, 3 - len(parts))] + parts
    if len(parts) != 3 or ".." in parts:
        return None
    return _found(home, home.joinpath("manifests", *parts, tag or "latest"))


def _found(home: Path, manifest: Path) -> Found | None:
    layers = _layers(manifest)
    blob = _blob(home, layers.get(_MODEL, ""))
    if blob is None:
        return None
    host, owner, model, tag = manifest.relative_to(home / "manifests").parts
    name = model if owner == "library" else f"{owner}/{model}"
    notes = [f"ollama's {name}:{tag}"]
    if host in _HUB:
        notes.append(f"from hf:{owner}/{model}, its {tag}")
    if adapter := _blob(home, layers.get(_ADAPTER, "")):
        notes.append(f"its adapter is not part of this file: {adapter}")
    said = name if tag == "latest" else f"{name}:{tag}"
    return Found(WHERE, said, blob, f"path:{blob}", tuple(notes))


def _layers(path: Path) -> dict[str, str]:
    """The digests of an image's layers by their kind; nothing where it is no manifest."""
    try:
        if path.stat().st_size > MOST:
            return {}
        layers = json.loads(path.read_bytes())["layers"]
        return {str(layer["mediaType"]): str(layer["digest"]) for layer in layers}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def _blob(home: Path, digest: str) -> Path | None:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        return None
    blob = home / "blobs" / digest.replace(":", "-")
    return blob if blob.is_file() else None
