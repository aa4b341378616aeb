"""What llama.cpp's quantizer gets wrong without a word, refused by the header of a file."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import ToolError
from .header import GgufHeader
from .widths import block_of, fell_back, sure_misfits

_UNQUANTIZED = {"F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64"}
"""Weights in full precision, and the tables that some models have beside them."""


def refuse_quantized(header: GgufHeader) -> None:
    """Raises ToolError where tensors of a source are packed."""
    if found := sorted({tensor.type for tensor in header.tensors} - _UNQUANTIZED):
        raise ToolError(
            f"these weights are quantized already ({', '.join(found)}); to do it again would "
            "lose more than it says",
            hint="build from the full-precision model that they were made from",
        )


def refuse_misfits(header: GgufHeader, mixture: str) -> None:
    """Raises ToolError where it is sure that tensors of a source would get another type."""
    _refuse(sure_misfits(header, mixture), mixture)


def refuse_fallback(header: GgufHeader, mixture: str) -> None:
    """Raises ToolError where tensors of a quantized model have another type."""
    _refuse(fell_back(header, mixture), mixture)


def _refuse(misfits: Sequence[str], mixture: str) -> None:
    if misfits:
        raise ToolError(
            f"{len(misfits)} tensors have rows that do not divide by {block_of(mixture)}, as "
            f"{mixture} needs; the first is {misfits[0]}",
            hint="choose Q8_0, Q5_0, Q5_1, Q4_0, Q4_1 or IQ4_NL, which need 32, or set "
            "`fallback: allow` to have them stored in a larger type",
        )
