"""How far the predictions of a built model are from its source's, on a text it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import packed
from numpy.typing import NDArray

from cortexbuild.runtimes.pretrained import load_model

WINDOW = 512


@dataclass(frozen=True, slots=True)
class Measured:
    """`bits` are those of the file per weight; `mean` and `p99` are nats of KL divergence per
    token; `top1` is how often the likeliest word is the same."""

    size: int
    bits: float
    mean: float
    p99: float
    top1: float


class Judge:
    def __init__(self, tokens: int) -> None:
        import torch

        ids = packed.transformers_tokens(packed.MODEL)(packed.TEXT)[:tokens]
        self._windows = torch.tensor(ids).reshape(-1, WINDOW)
        self._model = load_model(packed.MODEL, dtype=torch.float32)
        self._own = {name: p.detach().clone() for name, p in self._model.named_parameters()}
        self._weights = sum(value.numel() for value in self._own.values())
        self._reference = self._by_transformers()

    def measure(self, built: Path) -> Measured:
        """A folder of MLX's: its weights, dequantized by mlx, in transformers, which is the same
        as our runtime to 1e-6 and twenty times as fast on a CPU. A GGUF: by llama.cpp."""
        file = next(path for path in built.iterdir() if path.suffix in (".gguf", ".safetensors"))
        found = self._by_llama_cpp(file) if file.suffix == ".gguf" else self._by_mlx(built)
        divergences, same = [], []
        for reference, other in zip(self._reference, found, strict=True):
            divergences.append((np.exp(reference) * (reference - other)).sum(-1))
            same.append(reference.argmax(-1) == other.argmax(-1))
        every = np.concatenate(divergences)
        size = file.stat().st_size
        return Measured(
            size, size * 8 / self._weights, float(every.mean()), float(np.quantile(every, 0.99)),
            float(np.concatenate(same).mean()),
        )  # fmt: skip

    def _by_transformers(self) -> list[NDArray[np.float64]]:
        import torch

        with torch.inference_mode():
            return [_logs(self._model(w[None]).logits[0].numpy()) for w in self._windows]

    def _by_mlx(self, folder: Path) -> list[NDArray[np.float64]]:
        import mlx.core as mx
        import torch
        from mlx.utils import tree_flatten, tree_map
        from mlx_lm.utils import dequantize_model, load_model

        model, _ = load_model(folder)

        def wide(x: mx.array) -> mx.array:
            return x.astype(mx.float32) if mx.issubdtype(x.dtype, mx.floating) else x

        model.update(tree_map(wide, model.parameters()))
        weights = dict(tree_flatten(dequantize_model(model).parameters()))
        parameters = dict(self._model.named_parameters())
        with torch.no_grad():
            for name, value in parameters.items():
                value.copy_(torch.tensor(np.array(weights[name].astype(mx.float32))))
            found = self._by_transformers()
            for name, value in parameters.items():
                value.copy_(self._own[name])
        return found

    def _by_llama_cpp(self, path: Path) -> list[NDArray[np.float64]]:
        windows = [np.array(window)[None] for window in self._windows.tolist()]
        return [_logs(packed.by_llama_cpp(path, window)[0]) for window in windows]


def _logs(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = scores.astype(np.float64)
    wide -= wide.max(-1, keepdims=True)
    logs: NDArray[np.float64] = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
    return logs
