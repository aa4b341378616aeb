"""Weights in 8-bit floats, with scales beside them: of a block, a row, or a whole matrix.

DeepSeek V3 (`inference/kernel.py`, `weight_dequant`) and Qwen3 write a scale for each block of
128 x 128 as `weight_scale_inv`, fbgemm one for each row and ModelOpt one for all as
`weight_scale`. Whatever its name, a weight is its 8-bit float times its scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import OTHER_PUBLICATION, IntegrityError, ToolError
from ..packing.floats import FLOAT8, FloatArray
from ..quantized import is_companion
from ..rounding import in_pieces
from ..safetensors.tensors import FLOATS, Stored

_BLOCK = 128
"""Of DeepSeek V3, where config.json has no `weight_block_size`."""


@dataclass(frozen=True, slots=True)
class ScaledLayer:
    """`block` is how many rows and how many columns have one scale."""

    weight: Stored
    scales: FloatArray
    block: tuple[int, int]

    def pieces(self) -> Iterator[NDArray[np.float32]]:
        """The weights, some rows at a time."""
        table, (high, wide) = FLOAT8[self.weight.dtype], self.block
        rows, columns = self.weight.shape
        for some in in_pieces(rows, columns):
            scales = self.scales[np.arange(some.start, some.stop) // high]
            scales = np.repeat(scales.astype(np.float32), wide, axis=1)[:, :columns]
            yield table[self.weight.numbers[some]] * scales


def scaled_layers(
    tensors: Mapping[str, Stored], config: Mapping[str, Any]
) -> dict[str, ScaledLayer]:
    """By the name of the weight.

    Raises ToolError when there are none, or one has no scales; IntegrityError when shapes do not
    fit each other.
    """
    said = (config.get("quantization_config") or {}).get("weight_block_size")
    usual = tuple(said) if isinstance(said, list) and len(said) == 2 else (_BLOCK, _BLOCK)
    found = {
        name: _layer(name, tensors, usual)
        for name, tensor in tensors.items()
        if tensor.dtype in FLOAT8 and not is_companion(name, tensors)
    }
    if not found:
        raise ToolError(
            "no layer of this model is in 8-bit floats",
            hint="take away `quantization_config` from config.json if its weights are in 16 bits",
        )
    return found


def others(tensors: Mapping[str, Stored], layers: Mapping[str, Any]) -> dict[str, Stored]:
    """What is neither such a layer nor belongs to one, as the scales of activations do."""
    return {
        name: tensor
        for name, tensor in tensors.items()
        if name not in layers and not is_companion(name, tensors)
    }


def _layer(name: str, tensors: Mapping[str, Stored], usual: tuple[int, ...]) -> ScaledLayer:
    weight = tensors[name]
    scale = tensors.get(f"{name}_scale_inv", tensors.get(f"{name}_scale"))
    if scale is None or scale.dtype not in FLOATS or len(weight.shape) != 2:
        raise ToolError(
            f"`{name}` is in 8-bit floats of a kind that is not known: {weight.dtype} of shape "
            f"{list(weight.shape)}, with scales {scale and [scale.dtype, *scale.shape]}",
            hint="start from weights in 16 bits",
        )
    scales = scale.floats()
    shape = scales.shape if scales.ndim == 2 else (scales.size, 1)
    block = [_block(*sizes) for sizes in zip(weight.shape, shape, usual, strict=True)]
    if None in block or scales.size != shape[0] * shape[1]:
        raise IntegrityError(
            f"`{name}` of shape {list(weight.shape)} has scales of shape {list(scale.shape)}, "
            f"which are none for blocks of {usual[0]} x {usual[1]}, for rows, or for all",
            hint=OTHER_PUBLICATION,
        )
    return ScaledLayer(weight, scales.reshape(shape), (block[0] or 1, block[1] or 1))


def _block(length: int, scales: int, usual: int) -> int | None:
    """How many share a scale along one axis."""
    if scales == 1:
        return length
    if scales == length:
        return 1
    return usual if scales == -(-length // usual) else None
