"""GPTQ layers, as AutoGPTQ and GPTQModel write them.

A layer of `in` inputs and `out` outputs is kept as
    qweight  int32    (in * bits / 32, out)      codes packed along the inputs, the first lowest
    qzeros   int32    (groups, out * bits / 32)  zeros packed along the outputs
    scales   float16  (groups, out)
    g_idx    int32    (in,)                      optional; the group of each input
and format "gptq" keeps every zero minus one, while "gptq_v2" keeps it as it is
(`dequantize_weight` and `convert_gptq_v1_to_v2_format` of GPTQModel).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import FETCH_AGAIN, OTHER_PUBLICATION, ToolError
from .words import as_words, unpack_codes
from .zeros import ZeroPointed, consecutive_groups


def read_gptq(
    tensors: Mapping[str, NDArray[Any]],
    *,
    bits: int,
    group_size: int | None,
    checkpoint_format: Literal["gptq", "gptq_v2"] = "gptq",
) -> ZeroPointed:
    """One layer from its tensors, named as above without their prefix.

    `group_size` None is one group for all inputs (-1 in the files). Raises ToolError for 3 bits
    and other widths but 2, 4 and 8, and for missing tensors and shapes that do not fit.

    In format "gptq" a zero wraps around within its own field: a kept 15 is a zero of 0, as in
    AutoGPTQ's kernels. llama.cpp's converter takes 16 there, and older GPTQModel carries the one
    into the next field. Only asymmetric layers can have such a zero.
    """
    if bits == 3:
        raise ToolError(
            "3-bit GPTQ is not supported: its codes cross words in an order of their own",
            hint="start from the unquantized model",
        )
    if bits not in (2, 4, 8):
        raise ToolError(
            f"GPTQ with {bits} bits is not supported, only 2, 4 and 8", hint=OTHER_PUBLICATION
        )
    missing = [name for name in ("qweight", "qzeros", "scales") if name not in tensors]
    if missing:
        raise ToolError(f"a GPTQ layer has no `{missing[0]}`", hint=FETCH_AGAIN)
    # Transposed, GPTQ's words are the rows of MLX: both fill a word from its lowest bits.
    words = np.ascontiguousarray(as_words(tensors["qweight"]).T)
    zeros = unpack_codes(as_words(tensors["qzeros"]), bits)
    if checkpoint_format == "gptq":
        zeros = (zeros + np.uint8(1)) & np.uint8(2**bits - 1)
    columns = words.shape[1] * 32 // bits
    groups = tensors.get("g_idx")
    if groups is None:
        groups = consecutive_groups(columns, group_size or columns)
    return ZeroPointed(words, zeros.T, tensors["scales"].T, groups, bits)
