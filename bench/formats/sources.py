"""The example model in every format that a source may have, and what each of them computes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import packed
import scores
from building import Built, Result, Source, Target, build
from scores import Scores, Tokens

RECIPES = (
    "gguf-bf16", "gguf-f16", "gguf-q4_0", "gguf-q8_0", "gguf-q4_k_m", "mlx-bf16", "mlx-4bit",
    "int8", "int4",
)  # fmt: skip
"""Sources that are themselves built from the example model."""

GROUP = 64


@dataclass(frozen=True, slots=True)
class Case:
    """A row: `reference` scores tokens as the source's own programs do; `exact` does it with the
    same weights in float32 by other code, where the reference rounds what it multiplies with."""

    source: Source
    title: str
    is_plain: bool
    reference: Callable[[Tokens], Scores]
    exact: Callable[[Tokens], Scores] | None = None


def make(work: Path) -> list[Case]:
    """All rows of the first table, in its order. Raises RuntimeError if one cannot be made."""
    wanted = {name: Target(name) for name in RECIPES}
    found = build(work, Source("example", packed.MODEL), wanted)
    place = {name: _path(name, result) for name, result in found.items()}
    folder = work / "sources"
    folder.mkdir()
    return [
        _torch("safetensors", "safetensors, bfloat16", packed.MODEL, is_plain=True),
        _torch("pytorch", "pytorch (.bin), bfloat16", _pickled(folder / "pytorch"), is_plain=True),
        _gguf("gguf-bf16", "GGUF BF16", place, is_plain=True),
        _gguf("gguf-f16", "GGUF F16", place, is_plain=True),
        _gguf("gguf-q4_0", "GGUF Q4_0", place),
        _gguf("gguf-q8_0", "GGUF Q8_0", place),
        _gguf("gguf-q4_k_m", "GGUF Q4_K_M", place),
        _mlx("mlx-bf16", "MLX bfloat16", place, is_plain=True),
        _mlx("mlx-4bit", "MLX 4-bit", place),
        _packed(folder / "gptq-4bit", "GPTQ 4-bit", "gptq"),
        _packed(folder / "gptq-8bit", "GPTQ 8-bit", "gptq", bits=8),
        _packed(folder / "gptq-act", "GPTQ 4-bit, desc_act", "gptq", act_order=True),
        _packed(folder / "awq-4bit", "AWQ 4-bit", "awq"),
        _torch("torchao-int8", "torchao INT8", place["int8"]),
        _nf4("bnb-nf4", "bitsandbytes NF4", place["int4"]),
    ]


def _path(name: str, result: Result) -> Path:
    if not isinstance(result, Built):
        raise RuntimeError(f"{name} is a source here, but was not built: {result.reason}")
    return result.path


def _torch(name: str, title: str, folder: Path, *, is_plain: bool = False) -> Case:
    return Case(
        Source(name, folder), title, is_plain, lambda tokens: packed.by_transformers(folder, tokens)
    )


def _nf4(name: str, title: str, folder: Path) -> Case:
    return Case(Source(name, folder), title, False, lambda tokens: scores.from_nf4(folder, tokens))


def _gguf(name: str, title: str, place: Mapping[str, Path], *, is_plain: bool = False) -> Case:
    path = place[name]
    return Case(
        Source(name, path), title, is_plain,
        lambda tokens: scores.by_llama_cpp(path, tokens),
        lambda tokens: scores.from_gguf(path, tokens),
    )  # fmt: skip


def _mlx(name: str, title: str, place: Mapping[str, Path], *, is_plain: bool = False) -> Case:
    folder = place[name]
    return Case(Source(name, folder), title, is_plain, lambda tokens: packed.by_mlx(folder, tokens))


def _pickled(folder: Path) -> Path:
    """The example model as `torch.save` of its state writes it."""
    import torch
    from safetensors.torch import load_file

    shutil.copytree(packed.MODEL, folder)
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    return folder


def _packed(folder: Path, title: str, method: str, **how: object) -> Case:
    """GPTQ or AWQ; its reference has the weights that its definition gives in float64."""
    _, meant = packed.write_packed(folder, packed.MODEL, method, group=GROUP, **how)
    if method == "gptq" and not how.get("act_order"):
        _add_order(folder / "model.safetensors")
    plain = packed.save_by_hand(folder.with_name(f"{folder.name}-plain"), packed.MODEL, meant)
    return Case(
        Source(folder.name, folder), title, False,
        lambda tokens: packed.by_transformers(plain, tokens),
    )  # fmt: skip


def _add_order(path: Path) -> None:
    """A `g_idx` for each layer that says nothing: columns belong to groups in their order."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(path)
    for name in [name for name in tensors if name.endswith(".scales")]:
        columns = len(tensors[name]) * GROUP
        order = (np.arange(columns) // GROUP).astype(np.int32)
        tensors[name.removesuffix("scales") + "g_idx"] = order
    save_file(tensors, path, metadata={"format": "pt"})
