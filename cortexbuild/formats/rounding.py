"""Casting weights to a small float type, and keeping account of what that changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ToolError
from .packing.floats import FloatName, bfloat16_of_float32, float32_of_bfloat16

PIECE = 1 << 24
"""Numbers that are worked on at a time: 64 MiB as float32."""


class Rounding:
    """How many numbers there were so far, and how many of them are not what they were."""

    def __init__(self) -> None:
        self._numbers = self._rounded = 0
        self._largest = 0.0

    def keep(self, numbers: NDArray[Any]) -> None:
        """Count numbers that stay as they are."""
        self._numbers += numbers.size

    def cast(self, name: str, numbers: NDArray[Any], dtype: FloatName) -> NDArray[Any]:
        """Floats (uint16: the bits of bfloat16) as `dtype`, each rounded to the nearest.

        Raises ToolError, which calls them `name`, when a number is too large for it.
        """
        wide = widened(numbers)
        result: NDArray[Any]
        if dtype == "bfloat16":
            result = bfloat16_of_float32(wide)
        else:
            with np.errstate(over="ignore"):
                result = wide.astype(dtype)
        with np.errstate(invalid="ignore"):
            change = np.abs(widened(result) - wide)
        if np.any(np.isinf(change)):
            raise ToolError(
                f"`{name}` has numbers that are too large for {dtype}",
                hint="set `dtype: bfloat16` or `dtype: float32`",
            )
        self._numbers += numbers.size
        if rounded := int(np.count_nonzero(change > 0)):
            self._rounded += rounded
            self._largest = max(self._largest, float(np.nanmax(change)))
        return result

    def __str__(self) -> str:
        if not self._rounded:
            return f"all {self._numbers:,} numbers are exactly what they were"
        return (
            f"{self._rounded:,} of {self._numbers:,} numbers were rounded, "
            f"by at most {self._largest:.3g}"
        )


def widened(numbers: NDArray[Any]) -> NDArray[np.float32]:
    """As float32, which holds every float16 and bfloat16 (given as uint16)."""
    if numbers.dtype == np.uint16:
        return float32_of_bfloat16(numbers)
    return numbers.astype(np.float32, copy=False)


def in_pieces(rows: int, width: int) -> Iterator[slice]:
    """Cut rows so that no piece has more than about PIECE numbers."""
    step = max(1, PIECE // max(1, width))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))
