"""Small whole numbers in rows of 32-bit words: the layout that MLX and GPTQ share.

A row is a little-endian stream of bits: code number i takes bits i*b to i*b + b - 1, whatever
b is, so eight codes always fill b bytes. MLX describes it in `mx.quantize`; for 2, 4 and 8 bits
it is also "the first code in the lowest bits of a word", which is how GPTQ packs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FETCH_AGAIN, OTHER_PUBLICATION, REPORT, ToolError

BITS = (2, 3, 4, 5, 6, 8)
"""The widths of a code that this module reads and writes."""


def unpack_codes(words: NDArray[np.unsignedinteger], bits: int) -> NDArray[np.uint8]:
    """Codes 0 to 2**bits - 1, `(…, n * 32 / bits)`, of 32-bit words `(…, n)`.

    Raises ToolError when the width is not in BITS, or a row does not end with a whole code.
    """
    check_bits(bits)
    octets = np.ascontiguousarray(words, "<u4").view(np.uint8)
    if octets.shape[-1] % bits:
        raise ToolError(
            f"{words.shape[-1]} words do not hold a whole number of {bits}-bit codes",
            hint=FETCH_AGAIN,
        )
    eights = octets.reshape(*octets.shape[:-1], -1, bits)
    wide = np.zeros((*eights.shape[:-1], 8), np.uint8)
    wide[..., :bits] = eights
    wide_words = wide.view("<u8")[..., 0]
    codes = np.empty((*eights.shape[:-1], 8), np.uint8)
    # One place at a time, so that what is kept beside the codes is as large as they, not 8 times.
    for place in range(8):
        codes[..., place] = (wide_words >> np.uint64(place * bits)) & np.uint64(2**bits - 1)
    return codes.reshape(*octets.shape[:-1], -1)


def pack_codes(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint32]:
    """The inverse of `unpack_codes`: `(…, m)` codes become `(…, m * bits / 32)` words.

    Raises ToolError when the width is not in BITS, a code needs more bits, or a row does not
    end with a whole word.
    """
    check_bits(bits)
    length = codes.shape[-1]
    if length % 8 or length * bits % 32:
        raise ToolError(
            f"rows of {length} codes of {bits} bits do not fill whole words", hint=OTHER_PUBLICATION
        )
    if codes.size and int(codes.max()) >= 2**bits:
        raise ToolError(f"the code {int(codes.max())} does not fit into {bits} bits", hint=REPORT)
    eights = codes.reshape(*codes.shape[:-1], -1, 8)
    wide = np.zeros(eights.shape[:-1], "<u8")
    for place in range(8):
        wide |= eights[..., place].astype(np.uint64) << np.uint64(place * bits)
    octets = wide[..., None].view(np.uint8)[..., :bits]
    words = octets.reshape(*codes.shape[:-1], length * bits // 8)
    return np.ascontiguousarray(words).view("<u4").astype(np.uint32, copy=False)


def as_words(tensor: NDArray[Any]) -> NDArray[np.uint32]:
    """A matrix of int32, as checkpoints keep packed codes, as uint32. ToolError for others."""
    if tensor.ndim != 2 or tensor.dtype.itemsize != 4:
        raise ToolError(
            f"codes packed in {tensor.dtype} {tensor.shape}, not in rows of int32",
            hint=OTHER_PUBLICATION,
        )
    return tensor.view(np.uint32)


def check_bits(bits: int) -> None:
    """Raise ToolError when the width is not in BITS."""
    if bits not in BITS:
        raise ToolError(
            f"{bits}-bit codes are not supported, only {', '.join(map(str, BITS))}",
            hint=OTHER_PUBLICATION,
        )
