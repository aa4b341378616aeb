"""Blocks of GGUF that MLX can express without a loss, and the way back for 4 bits.

Source: `block_q4_0`, `block_q4_1`, `block_q8_0` in ggml's ggml-common.h. A block is 32 numbers:
    Q4_0   18 bytes   float16 d, 16 bytes of two codes            d * (code - 8)
    Q4_1   20 bytes   float16 d, float16 m, 16 bytes of two codes  d * code + m
    Q8_0   34 bytes   float16 d, 32 int8                           d * code
Byte j of the 4-bit codes has number j in its lower half and number j + 16 in its upper half.

There is no way back for 8 bits: MLX has a bias per group and Q8_0 has none.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import FETCH_AGAIN, REPORT, ToolError
from .floats import FloatArray, inexact
from .mlx import Affine
from .words import pack_codes

BLOCK = 32
BlockType: TypeAlias = Literal["Q4_0", "Q4_1", "Q8_0"]
BLOCK_BYTES: dict[BlockType, int] = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34}


def from_gguf_blocks(raw: NDArray[np.uint8], block_type: BlockType) -> Affine:
    """The same matrix for MLX: groups of 32, float16 scales and biases.

    `raw` is `(…, columns / 32 * BLOCK_BYTES[block_type])`. In float32 it dequantizes to the same
    bits; scales and biases are exact in float16 too. Raises ToolError when a row does not end
    with a whole block, or a bias (-8 or -128 times the scale) is beyond float16.
    """
    size = BLOCK_BYTES[block_type]
    if raw.shape[-1] % size:
        raise ToolError(
            f"rows of {raw.shape[-1]} bytes are not whole {block_type} blocks", hint=FETCH_AGAIN
        )
    blocks = raw.reshape(*raw.shape[:-1], -1, size)
    scales = _float16(blocks[..., :2])
    if block_type == "Q8_0":
        bits, codes = 8, blocks[..., 2:] ^ np.uint8(0x80)  # int8 plus 128
        biases = _float16_exactly(scales.astype(np.float32) * -128, "biases")
    elif block_type == "Q4_0":
        bits, codes = 4, _halves(blocks[..., 2:])
        biases = _float16_exactly(scales.astype(np.float32) * -8, "biases")
    else:
        bits, codes = 4, _halves(blocks[..., 4:])
        biases = _float16(blocks[..., 2:4])
    return Affine(pack_codes(codes.reshape(*raw.shape[:-1], -1), bits), scales, biases, bits, BLOCK)


def to_q4_1(affine: Affine) -> NDArray[np.uint8]:
    """A 4-bit MLX matrix as Q4_1 blocks, `(…, columns / 32 * 20)`; in float32 the same bits.

    Groups of 64 and 128 become two and four blocks with the same scale and bias. Raises ToolError
    for other widths, and when a scale or bias is not a float16: the message counts them.
    """
    if affine.bits != 4:
        raise ToolError(f"Q4_1 has 4 bits, not {affine.bits}", hint=REPORT)
    blocks_per_group = affine.group_size // BLOCK
    codes = affine.codes().reshape(*affine.weight.shape[:-1], -1, BLOCK)
    blocks = np.empty((*codes.shape[:-1], BLOCK_BYTES["Q4_1"]), np.uint8)
    for start, name, numbers in ((0, "scales", affine.scales), (2, "biases", affine.biases)):
        halves = np.repeat(_float16_exactly(numbers, name), blocks_per_group, axis=-1)
        blocks[..., start : start + 2] = halves[..., None].view(np.uint8)
    blocks[..., 4:] = codes[..., :16] | (codes[..., 16:] << np.uint8(4))
    return blocks.reshape(*affine.weight.shape[:-1], -1)


def _halves(octets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([octets & np.uint8(15), octets >> np.uint8(4)], axis=-1)


def _float16(octets: NDArray[np.uint8]) -> NDArray[np.float16]:
    return np.ascontiguousarray(octets).view("<f2")[..., 0].astype(np.float16, copy=False)


def _float16_exactly(numbers: FloatArray, name: str) -> NDArray[np.float16]:
    lost = inexact(numbers, "float16")
    if lost.any():
        first = tuple(int(place) for place in np.argwhere(lost)[0])
        raise ToolError(
            f"{int(lost.sum())} of {lost.size} {name} are not float16 numbers, "
            f"the first is {float(numbers[first])!r} at {list(first)}",
            hint="dequantize it instead",
        )
    return numbers.astype(np.float16)
