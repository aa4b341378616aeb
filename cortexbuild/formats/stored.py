"""How each weight of a model is stored, from its headers: `Q4_K`, `bfloat16`, `mlx 4-bit g64`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .cards import read_card
from .files import weights
from .listing import local_files
from .quantized import is_companion, packed
from .shards import read_gguf, read_safetensors


def stored(path: Path) -> Mapping[str, str]:
    """By the name that the weight has in this format; empty where headers do not say it."""
    files = local_files(path)
    chosen = weights(files.sizes)
    if chosen is None or chosen.format not in ("safetensors", "gguf"):
        return {}
    if chosen.format == "gguf":
        return {tensor.name: tensor.type for tensor in read_gguf(files, chosen.files).tensors}
    tensors, settings = read_safetensors(files, chosen).tensors, read_card(files).settings
    found = {}
    for name, tensor in tensors.items():
        if is_companion(name, tensors):
            continue
        way = packed(name, tensors, settings)
        group = f" g{way.group_size}" if way and way.group_size else ""
        found[name] = f"{way.method} {way.bits}-bit{group}" if way else tensor.dtype.lower()
    return found
