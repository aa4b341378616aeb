"""The second table: tiny random models of every family, there and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import packed
import scores
from building import Built, Result, Source, Target, build
from scores import Scores, Tokens

FAMILIES = ("llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "phi3", "gemma3_text")
ENDS = {"bos_token_id": 1, "eos_token_id": 2}
"""Some families have others by default, which are not in a vocabulary as small as this."""

GROUP = 32
"""Rows of the tiny models are 64 or 96 wide."""

FROM_SAFETENSORS = {
    "mlx-bf16": Target("mlx-bf16"),
    "gguf-f16": Target("gguf-f16"),
    "mlx-4bit": Target("mlx-4bit", {"group_size": GROUP}),
    "int8": Target("int8"),
    "int4": Target("int4"),
}
COLUMNS = (
    ("safetensors", "mlx-bf16"),
    ("safetensors", "gguf-f16"),
    ("gguf-f16", "safetensors"),
    ("gguf-f16", "mlx-bf16"),
    ("mlx-bf16", "safetensors"),
    ("mlx-bf16", "gguf-f16"),
    ("mlx-4bit", "safetensors"),
    ("safetensors", "int8"),
    ("safetensors", "int4"),
)
"""What is built from what. All but safetensors were built from safetensors themselves."""


@dataclass(frozen=True, slots=True)
class Cell:
    """`relative`: the largest difference of two scores, over the largest score there is."""

    result: Result
    relative: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    cells: tuple[Cell, ...]


def run(work: Path) -> list[Row]:
    """Build every cell, and compare what it computes with what its model computes."""
    return [_row(work, family) for family in FAMILIES]


def tokens() -> Tokens:
    """One window of 100 ids from all over the vocabulary."""
    return (np.arange(100)[None] * 37) % packed.VOCABULARY


def _row(work: Path, family: str) -> Row:
    print(f"{family} …", flush=True)
    name = f"tiny-{family.replace('_', '-')}"
    plain = _in_bfloat16(packed.write_family(work / "tiny" / family, family))
    _suit_tokenizer(plain)
    first = build(work, Source(name, plain), FROM_SAFETENSORS)
    built = {("safetensors", target): result for target, result in first.items()}
    for middle in ("gguf-f16", "mlx-bf16", "mlx-4bit"):
        targets = {there: Target(there) for here, there in COLUMNS if here == middle}
        source = first[middle]
        if isinstance(source, Built):
            found = build(work, Source(f"{name}-{middle}", source.path), targets)
        else:
            found = dict.fromkeys(targets, source)
        built |= {(middle, there): result for there, result in found.items()}
    original = packed.by_transformers(plain, tokens())
    quantized = first["mlx-4bit"]
    references: Mapping[str, Scores] = {
        "safetensors": original,
        "gguf-f16": original,
        "mlx-bf16": original,
        "mlx-4bit": packed.by_mlx(quantized.path, tokens())
        if isinstance(quantized, Built)
        else original,
    }
    return Row(
        family, tuple(_cell(work, built[column], references[column[0]]) for column in COLUMNS)
    )


def _cell(work: Path, result: Result, reference: Scores) -> Cell:
    if not isinstance(result, Built):
        return Cell(result)
    apart = scores.distance(reference, scores.by_runtime(result, tokens(), work))
    return Cell(result, apart / float(np.abs(reference).max()))


def _in_bfloat16(folder: Path) -> Path:
    """Round the model to bfloat16, as most are shipped: then 16 bits can hold it exactly."""
    import torch
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = {name: it.to(torch.bfloat16) for name, it in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    _change(folder / "config.json", {"dtype": "bfloat16", **ENDS})
    _change(folder / "generation_config.json", ENDS)
    return folder


def _suit_tokenizer(folder: Path) -> None:
    """Make the example model's tokenizer one that such a model may have, for llama.cpp: it looks
    for a token of phi3's by name, and puts no space before the text of a gemma3."""
    path = folder / "tokenizer.json"
    found = json.loads(path.read_text())
    if folder.name == "phi3":
        named = [it for it in found["added_tokens"] if it["content"] != "\n"]
        text = json.dumps({**found, "added_tokens": named})
        path.write_text(text.replace("<|im_start|>", "<|endoftext|>"))
    elif folder.name == "gemma3_text":
        found["pre_tokenizer"]["prepend_scheme"] = "never"
        found["decoder"]["decoders"].pop()  # which takes that space away
        path.write_text(json.dumps(found))
    else:
        return
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **tokens}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _change(path: Path, changes: Mapping[str, object]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
