"""The order of the rows of q and k in GGUF files of the llama architecture.

Hugging Face rotates element i of a head with element i + head_dim/2; llama.cpp's llama rotates
neighbours. Its converter therefore moves the rows of q_proj and k_proj, head by head
(`LlamaModel.permute` in llama.cpp's conversion/llama.py). Only rows move and groups lie within
a row, so the same move fits weights, packed weights, scales, and biases of one dimension.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import OTHER_PUBLICATION, ToolError


def to_gguf_rows(array: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows as Hugging Face has them, in llama.cpp's order. For k, `heads` are its own (KV) heads.

    Raises ToolError when the first axis is not `heads` times an even number.
    """
    return _exchange(array, heads, halves_first=True)


def from_gguf_rows(array: NDArray[Any], heads: int) -> NDArray[Any]:
    """The inverse of `to_gguf_rows`, with the same errors."""
    return _exchange(array, heads, halves_first=False)


def _exchange(array: NDArray[Any], heads: int, *, halves_first: bool) -> NDArray[Any]:
    rows = array.shape[0]
    if heads < 1 or rows % (2 * heads):
        raise ToolError(
            f"{rows} rows are not {heads} heads of an even size", hint=OTHER_PUBLICATION
        )
    half = rows // heads // 2
    middle = (2, half) if halves_first else (half, 2)
    parts = array.reshape(heads, *middle, *array.shape[1:])
    return np.ascontiguousarray(parts.swapaxes(1, 2)).reshape(array.shape)
