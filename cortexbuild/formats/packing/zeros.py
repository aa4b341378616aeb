"""A matrix quantized with zero points, as GPTQ and AWQ mean it: (code - zero) * scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import FETCH_AGAIN, ToolError
from .floats import FloatArray, smallest_exact
from .mlx import Affine
from .words import check_bits, unpack_codes


@dataclass(frozen=True, slots=True)
class ZeroPointed:
    """`weight[o, i] = (code[o, i] - zero[o, g]) * scale[o, g]` with `g = group_of[i]`.

    `words` is uint32 `(out, in * bits / 32)`, packed as in `packing`; `zeros` and `scales` are
    `(out, groups)`. bfloat16 scales are given as float32.
    Raises ToolError when the shapes do not fit each other, or a column is in no group.
    """

    words: NDArray[np.uint32]
    zeros: NDArray[np.uint8]
    scales: FloatArray
    group_of: NDArray[np.integer]
    bits: int

    def __post_init__(self) -> None:
        check_bits(self.bits)
        rows, columns = self.words.shape[0], self.words.shape[1] * 32 // self.bits
        if self.zeros.shape != self.scales.shape or self.zeros.shape[0] != rows:
            raise ToolError(
                f"{rows} rows do not fit zeros {self.zeros.shape} and scales {self.scales.shape}",
                hint=FETCH_AGAIN,
            )
        groups = self.zeros.shape[1]
        if self.group_of.shape != (columns,):
            raise ToolError(
                f"{columns} columns, but groups for {self.group_of.shape}", hint=FETCH_AGAIN
            )
        if columns and not 0 <= self.group_of.min() <= self.group_of.max() < groups:
            raise ToolError(
                f"a column belongs to a group that is not one of the {groups}", hint=FETCH_AGAIN
            )

    def codes(self) -> NDArray[np.uint8]:
        """The integers 0 to 2**bits - 1, `(out, in)`."""
        return unpack_codes(self.words, self.bits)


def consecutive_groups(columns: int, group_size: int) -> NDArray[np.intp]:
    """The group of each column when groups are neighbours, the last one maybe shorter."""
    return np.arange(columns) // group_size


def is_consecutive(group_of: NDArray[np.integer], group_size: int) -> bool:
    """Whether a `g_idx` says no more than the group size does: no act-order."""
    return bool(np.array_equal(group_of, consecutive_groups(len(group_of), group_size)))


def dequantize(matrix: ZeroPointed) -> NDArray[np.float32]:
    """The numbers, `(out, in)`, computed in float32: exact for float16 and bfloat16 scales."""
    numbers = matrix.codes().astype(np.float32)
    numbers -= matrix.zeros.astype(np.float32)[:, matrix.group_of]
    numbers *= matrix.scales.astype(np.float32)[:, matrix.group_of]
    return numbers


def to_affine(matrix: ZeroPointed, group_size: int) -> Affine:
    """The same numbers in MLX's form: nothing is rounded, `biases = -zero * scale`.

    The scales keep their dtype. The biases are float32: a zero has up to 8 bits and a scale 11,
    so float16 holds their product only sometimes (always when each zero is a power of two, as in
    symmetric 4-bit GPTQ, and nothing overflows). `packing_floats.smallest_exact(result.biases)`
    tells what else would hold them.

    Raises ToolError for act-order, for a group size that MLX does not have, and for scales that
    need all of float32, whose products would be rounded.
    """
    if not is_consecutive(matrix.group_of, group_size):
        raise ToolError(
            "columns are not grouped in order (act-order), which MLX cannot express",
            hint="dequantize it instead",
        )
    if smallest_exact(matrix.scales) not in ("float16", "bfloat16"):
        raise ToolError(
            "scales that neither float16 nor bfloat16 can hold cannot be repacked exactly",
            hint="dequantize it instead",
        )
    biases = -(matrix.zeros.astype(np.float32) * matrix.scales.astype(np.float32))
    return Affine(matrix.words, matrix.scales, biases, matrix.bits, group_size)
