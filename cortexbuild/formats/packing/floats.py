"""Which small float type holds given numbers without a loss.

numpy has no bfloat16. Where its 16 bits have to be kept as they are, they are kept as uint16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatName: TypeAlias = Literal["float16", "bfloat16", "float32"]
FloatArray: TypeAlias = NDArray[np.float16] | NDArray[np.float32]


def inexact(values: FloatArray, dtype: FloatName) -> NDArray[np.bool_]:
    """Where a number would change if it were stored as `dtype`.

    Infinity and NaN count as changed: they are never a weight.
    """
    wide = values.astype(np.float32, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "float16":
            kept = wide.astype(np.float16).astype(np.float32)
        elif dtype == "bfloat16":
            kept = float32_of_bfloat16((wide.view(np.uint32) >> np.uint32(16)).astype(np.uint16))
        else:
            kept = wide
        exact: NDArray[np.bool_] = np.isfinite(kept) & (kept == wide)
    return ~exact


def smallest_exact(*arrays: FloatArray) -> FloatName | None:
    """The smallest dtype that keeps every number, or None when one is infinite or NaN.

    float16 and bfloat16 are equally small; float16 is preferred when both are exact.
    """
    names: tuple[FloatName, ...] = ("float16", "bfloat16", "float32")
    return next((name for name in names if not any(inexact(a, name).any() for a in arrays)), None)


def float32_of_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Exact: a bfloat16 is the upper half of a float32."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def bfloat16_of_float32(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16, ties to even, as torch and MLX round. NaN stays NaN."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded = ((bits + half) >> np.uint32(16)).astype(np.uint16)
    # Adding to a NaN may carry into the sign, or leave an infinity.
    quiet_nan = ((bits >> np.uint32(16)) | np.uint32(0x40)).astype(np.uint16)
    return np.where(np.isnan(values), quiet_nan, rounded).astype(np.uint16, copy=False)


def _float8(exponent_bits: int, *, infinite: bool) -> NDArray[np.float32]:
    octets = np.arange(256)
    mantissa_bits = 7 - exponent_bits
    bias = 2 ** (exponent_bits - 1) - 1
    exponent = octets >> mantissa_bits & 2**exponent_bits - 1
    mantissa = octets & 2**mantissa_bits - 1
    whole = np.where(exponent == 0, 0, 2**mantissa_bits) + mantissa
    size = whole * 2.0 ** (np.maximum(exponent, 1) - bias - mantissa_bits)
    if infinite:
        last = exponent == 2**exponent_bits - 1
        size[last] = np.where(mantissa[last] == 0, np.inf, np.nan)
    else:
        size[octets & 0x7F == 0x7F] = np.nan
    signed: NDArray[np.float32] = np.where(octets < 0x80, size, -size).astype(np.float32)
    return signed


FLOAT8: Mapping[str, NDArray[np.float32]] = {
    "F8_E4M3": _float8(4, infinite=False),
    "F8_E5M2": _float8(5, infinite=True),
}
"""What each octet is: "OCP 8-bit Floating Point Specification (OFP8)", revision 1.0, table 1. E4M3
has no infinities."""
