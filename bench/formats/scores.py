"""Scores of the next token, and how far two of them are apart."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import packed
from building import Built
from numpy.typing import NDArray

from cortexbuild.runtimes import find_runtime

Scores = NDArray[np.float32]
"""Raw scores, by window, token and vocabulary."""

Tokens = NDArray[np.int64]
"""Token ids, by window and place."""

WINDOW = 512


def heldout_tokens(count: int) -> Tokens:
    """The first `count` tokens of a text that the example model has not seen, in windows."""
    ids = packed.transformers_tokens(packed.MODEL)(packed.TEXT)[:count]
    return np.array(ids).reshape(-1, min(count, WINDOW))


def by_runtime(built: Built, tokens: Tokens, kept: Path) -> Scores:
    """What our runtime of its format computes. The model is freed before this returns.

    Targets with the same bytes are views of one tree: that is computed once, and kept in a file
    of the folder `kept`.
    """
    path = built.path.resolve()
    tree = path.parent.name if path.is_file() else path.name
    file = kept / f"{tree}-{tokens.size}.npy"
    if not file.exists():
        model = find_runtime(built.format).load(built.path)
        np.save(file, np.stack([model.logits(window.tolist()) for window in tokens]))
        del model
        gc.collect()
    return np.load(file, mmap_mode="r")


def by_llama_cpp(path: Path, tokens: Tokens) -> Scores:
    """What llama.cpp computes, by llama-cpp-python's own class: each window in one batch, with
    flash attention, as llama.cpp's own programs have it by default."""
    import llama_cpp

    count = tokens.shape[1]
    model = llama_cpp.Llama(
        str(path), n_ctx=count, n_batch=count, n_threads=1, flash_attn=True, logits_all=True,
        verbose=False,
    )  # fmt: skip
    found = []
    for window in tokens:
        model.reset()
        model.eval(window.tolist())
        found.append(np.array(model.scores[:count]))
    model.close()
    return np.stack(found)


def from_nf4(folder: Path, tokens: Tokens) -> Scores:
    """What transformers computes in float32 of a bitsandbytes model that it dequantized itself.

    Packed, such a model computes in bfloat16 on a CPU, whatever dtype it is loaded in.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = torch.nn.Module.float(model.dequantize(dtype=torch.float32))
    with torch.inference_mode():
        return model(torch.tensor(tokens)).logits.numpy()


def from_gguf(path: Path, tokens: Tokens) -> Scores:
    """What transformers computes in float32 of a GGUF file, which it dequantizes itself."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    with torch.inference_mode():
        return np.concatenate([model(torch.tensor(w[None])).logits.numpy() for w in tokens])


def divergence(reference: Scores, other: Scores) -> float:
    """The mean Kullback-Leibler divergence of `other` from `reference`, in nats per token."""
    windows = zip(reference, other, strict=True)
    return max(0.0, float(np.mean([packed.divergence(*pair) for pair in windows])))


def distance(reference: Scores, other: Scores) -> float:
    """The largest absolute difference of two scores."""
    return packed.far(reference, other)
