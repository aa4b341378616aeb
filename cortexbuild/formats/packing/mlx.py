"""A matrix as MLX's affine mode keeps it, and what it stands for.

Source: `mx.quantize`, `mx.dequantize` of mlx 0.32, mode "affine".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import FETCH_AGAIN, ToolError
from .floats import FloatArray
from .words import check_bits, unpack_codes

GROUP_SIZES = (32, 64, 128)
"""The group sizes that MLX's affine mode has kernels for."""


@dataclass(frozen=True, slots=True)
class Affine:
    """`weight = code * scale + bias`, one scale and bias per group along the last axis.

    `weight` is uint32 `(…, columns * bits / 32)`, packed as in `packing`; `scales` and `biases`
    are `(…, columns / group_size)`. bfloat16 is given as float32, which holds it exactly.
    Raises ToolError when the shapes do not fit each other.
    """

    weight: NDArray[np.uint32]
    scales: FloatArray
    biases: FloatArray
    bits: int
    group_size: int

    def __post_init__(self) -> None:
        check_bits(self.bits)
        if self.group_size not in GROUP_SIZES:
            raise ToolError(
                f"MLX has no affine group of {self.group_size}",
                hint=f"it has {', '.join(map(str, GROUP_SIZES))}",
            )
        groups = (*self.weight.shape[:-1], self.columns // self.group_size)
        whole = self.columns % self.group_size == 0
        if not whole or self.scales.shape != groups or self.biases.shape != groups:
            raise ToolError(
                f"{self.bits}-bit weight {self.weight.shape} in groups of {self.group_size} needs "
                f"scales and biases {groups}, not {self.scales.shape} and {self.biases.shape}",
                hint=FETCH_AGAIN,
            )

    @property
    def columns(self) -> int:
        """How many numbers a row stands for."""
        return int(self.weight.shape[-1]) * 32 // self.bits

    def codes(self) -> NDArray[np.uint8]:
        """The integers 0 to 2**bits - 1, `(…, columns)`."""
        return unpack_codes(self.weight, self.bits)


def dequantize(affine: Affine) -> NDArray[np.float32]:
    """The numbers, `(…, columns)`, computed in float32.

    With float16 or bfloat16 scales the product is exact and the sum is rounded once, so this is
    bit for bit what MLX gives for float32 scales and biases. With scales that need all of
    float32 the product is rounded too, and MLX may differ in the last bit.
    """
    codes = affine.codes()
    grouped = codes.reshape(*codes.shape[:-1], -1, affine.group_size).astype(np.float32)
    grouped *= affine.scales.astype(np.float32)[..., None]
    grouped += affine.biases.astype(np.float32)[..., None]
    return grouped.reshape(codes.shape)
