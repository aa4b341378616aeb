"""The memory that a model takes to run, from its headers and configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .cards import plain_text, read_card
from .config import memory_to_run
from .files import weights
from .listing import Files, local_files
from .shards import read_gguf

USUAL_CONTEXT = 4096
"""Tokens; a model whose context is shorter is asked for that."""

_IN_GGUF = {
    "num_hidden_layers": "block_count",
    "hidden_size": "embedding_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
}


def memory_of(path: Path, context: int) -> int | None:
    """Bytes for weights, a 16-bit KV cache of `context` tokens and what running takes beside;
    None where the files do not tell."""
    files = local_files(path)
    chosen = weights(files.sizes)
    if chosen is None:
        return None
    config = _of_gguf(files, chosen.files) if chosen.format == "gguf" else read_card(files).config
    return memory_to_run(sum(files.sizes[name] for name in chosen.files), config, context)


def _of_gguf(files: Files, paths: tuple[str, ...]) -> Mapping[str, Any]:
    fields = read_gguf(files, paths).fields
    architecture = plain_text(fields.get("general.architecture"))
    found = {name: fields.get(f"{architecture}.{key}") for name, key in _IN_GGUF.items()}
    return {name: value for name, value in found.items() if value is not None}
