"""AWQ layers in the "GEMM" layout, as AutoAWQ writes them.

A layer of `in` inputs and `out` outputs is kept as
    qweight  int32    (in, out / 8)      eight 4-bit codes of neighbouring outputs in a word
    qzeros   int32    (groups, out / 8)  in the same order
    scales   float16  (groups, out)
and the eight in a word are not in order (`AWQ_ORDER` of AutoAWQ's awq/utils/packing_utils.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FETCH_AGAIN, ToolError
from .words import as_words, pack_codes, unpack_codes
from .zeros import ZeroPointed, consecutive_groups

BITS = 4
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which of its eight outputs a word holds in bits 0-3, 4-7, and so on."""


def read_awq(tensors: Mapping[str, NDArray[Any]], *, group_size: int | None) -> ZeroPointed:
    """One layer from its tensors, named as above without their prefix.

    `group_size` None is one group for all inputs. Raises ToolError for missing tensors, and for
    shapes that do not fit, among them `in` that is not a multiple of 8.
    """
    missing = [name for name in ("qweight", "qzeros", "scales") if name not in tensors]
    if missing:
        raise ToolError(f"an AWQ layer has no `{missing[0]}`", hint=FETCH_AGAIN)
    words = pack_codes(np.ascontiguousarray(_in_order(tensors["qweight"]).T), BITS)
    zeros = _in_order(tensors["qzeros"]).T
    columns = tensors["qweight"].shape[0]
    groups = consecutive_groups(columns, group_size or columns)
    return ZeroPointed(words, zeros, tensors["scales"].T, groups, BITS)


def _in_order(words: NDArray[Any]) -> NDArray[np.uint8]:
    codes = unpack_codes(as_words(words), BITS)
    eights = codes.reshape(len(codes), -1, len(ORDER))
    ordered = np.empty_like(eights)
    ordered[..., ORDER] = eights
    return ordered.reshape(codes.shape)
