"""Llamas of any size with random weights and a real tokenizer, for benchmarks.

    python bench/models.py 1B FOLDER

They have the shapes of models that people run, the tokenizer of examples/models, and bfloat16
weights, written shard by shard, so that none is held in memory as a whole.
"""

from __future__ import annotations

import json
import shutil
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "models" / "stdlib-llama-6m"
SHARD = 1 << 30
DRAWN = 1 << 22
"""Numbers that are drawn; each tensor begins at another place of them, and goes round."""


@dataclass(frozen=True)
class Shape:
    """All widths divide by 256, as llama.cpp's K types need."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    words: int = 0
    """Of the vocabulary; 0 for that of the tokenizer as it is."""


SHAPES: Mapping[str, Shape] = {
    "0.1B": Shape(12, 768, 3072, 12, 4),
    "1B": Shape(16, 2048, 8192, 32, 8),  # Llama 3.2 1B without most of its vocabulary
    "1.2B": Shape(16, 2048, 8192, 32, 8, 128_256),  # Llama 3.2 1B
    "8B": Shape(36, 4096, 14336, 32, 8),  # Llama 3.1 8B; four layers more for a small vocabulary
    "30B": Shape(60, 6656, 17920, 52, 52),  # LLaMA 30B
}


def write_model(folder: Path, size: str) -> int:
    """Gives how many weights it has."""
    shape = SHAPES[size]
    folder.mkdir(parents=True)
    for path in EXAMPLE.iterdir():
        if path.suffix != ".safetensors" and path.name != "config.json":
            shutil.copy(path, folder)
    config = json.loads((EXAMPLE / "config.json").read_text())
    if shape.words:
        _add_words(folder, config["vocab_size"], shape.words)
        config["vocab_size"] = shape.words
    config |= {
        "hidden_size": shape.hidden, "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads, "head_dim": shape.hidden // shape.heads,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    shards = list(_shards(_tensors(shape, config["vocab_size"])))
    where = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write_shard(folder / name, shard, seed=number)
        where |= dict.fromkeys(shard, name)
    count = sum(int(np.prod(dims)) for shard in shards for dims in shard.values())
    index = {"metadata": {"total_size": 2 * count}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    return count


def _add_words(folder: Path, have: int, wanted: int) -> None:
    """Words that no text has, of two characters that Unicode leaves to private use."""
    from sentencepiece import sentencepiece_model_pb2

    words = [
        chr(0xE000 + number // 6400) + chr(0xE000 + number % 6400) for number in range(have, wanted)
    ]
    fast = json.loads((folder / "tokenizer.json").read_text())
    fast["model"]["vocab"] |= {word: have + number for number, word in enumerate(words)}
    (folder / "tokenizer.json").write_text(json.dumps(fast, ensure_ascii=False))
    slow = sentencepiece_model_pb2.ModelProto.FromString((folder / "tokenizer.model").read_bytes())
    least = slow.pieces[-1].score
    for number, word in enumerate(words, 1):
        slow.pieces.add(piece=word, score=least - number)
    slow.trainer_spec.vocab_size = wanted
    (folder / "tokenizer.model").write_bytes(slow.SerializeToString())


def _tensors(shape: Shape, words: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes; the embedding is the output layer, too."""
    wide, inner = shape.hidden, shape.intermediate
    narrow = wide // shape.heads * shape.kv_heads
    yield "model.embed_tokens.weight", (words, wide)
    for number in range(shape.layers):
        layer = f"model.layers.{number}."
        for name, rows in (("q", wide), ("k", narrow), ("v", narrow), ("o", wide)):
            yield f"{layer}self_attn.{name}_proj.weight", (rows, wide)
        yield f"{layer}mlp.gate_proj.weight", (inner, wide)
        yield f"{layer}mlp.up_proj.weight", (inner, wide)
        yield f"{layer}mlp.down_proj.weight", (wide, inner)
        yield f"{layer}input_layernorm.weight", (wide,)
        yield f"{layer}post_attention_layernorm.weight", (wide,)
    yield "model.norm.weight", (wide,)


def _shards(
    tensors: Iterator[tuple[str, tuple[int, ...]]],
) -> Iterator[dict[str, tuple[int, ...]]]:
    shard: dict[str, tuple[int, ...]] = {}
    held = 0
    for name, dims in tensors:
        size = 2 * int(np.prod(dims))
        if shard and held + size > SHARD:
            yield shard
            shard, held = {}, 0
        shard[name] = dims
        held += size
    yield shard


def _write_shard(path: Path, shard: Mapping[str, tuple[int, ...]], seed: int) -> None:
    header, at = {}, 0
    for name, dims in shard.items():
        end = at + 2 * int(np.prod(dims))
        header[name] = {"dtype": "BF16", "shape": list(dims), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(seed)
    drawn = _bfloat16(random.standard_normal(DRAWN, np.float32) * np.float32(0.02))
    one = _bfloat16(np.ones(1, np.float32))
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for dims in shard.values():
            if len(dims) == 1:  # a norm
                file.write(np.repeat(one, dims[0]).tobytes())
                continue
            left = int(np.prod(dims))
            while left:
                start = int(random.integers(DRAWN // 2))
                piece = drawn[start : start + left]
                file.write(piece.tobytes())
                left -= len(piece)


def _bfloat16(values: np.ndarray) -> np.ndarray:
    return (values.view(np.uint32) >> 16).astype(np.uint16)


if __name__ == "__main__":
    print(write_model(Path(sys.argv[2]), sys.argv[1]), "weights")
