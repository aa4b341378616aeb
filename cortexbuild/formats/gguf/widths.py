"""Which tensors of a GGUF file have rows that a quantization type cannot hold.

A type packs 32 or 256 weights of a row together. Where a row does not divide by that, llama.cpp
takes another type (`FALLBACK` in gguf_types.py), or none at all, and only its log tells of it.
"""

from __future__ import annotations

import re

from .header import GgufHeader, GgufTensor
from .types import FILE_TYPES, TENSOR_TYPES

_FULL = ("F32", "F16", "BF16")
_BLOCKS = {kind.name: kind.block for kind in TENSOR_TYPES.values()}
_SURE = re.compile(r"blk\.\d+\.(attn_(q|k|v|qkv|output)|ffn_(gate|up|down)(_exps)?)\.weight")
"""Tensors that llama.cpp quantizes in every model that has them."""

_NARROW = 32
"""A matrix this narrow is a convolution's or a small table, and is left as it is on purpose."""


def block_of(mixture: str) -> int:
    """How many weights of a row go together in the type that a mixture, as `Q4_K_M`, is named
    after. A mixture may have tensors of other types beside it."""
    (main,) = (kind for kind in FILE_TYPES.values() if kind.name == f"MOSTLY_{mixture}")
    return _BLOCKS[main.types[0]]


def sure_misfits(header: GgufHeader, mixture: str) -> list[str]:
    """The tensors of a model in full precision of which it is sure that they will not fit."""
    block = block_of(mixture)
    return [_shown(t) for t in header.tensors if _SURE.fullmatch(t.name) and t.shape[0] % block]


def fell_back(header: GgufHeader, mixture: str) -> list[str]:
    """The tensors of a quantized model that are stored otherwise than the mixture would have it."""
    block = block_of(mixture)
    return [
        _shown(tensor)
        for tensor in header.tensors
        if len(tensor.shape) > 1
        and tensor.shape[0] % block
        and (tensor.type not in _FULL or _is_wide_weight(tensor))
    ]


def _is_wide_weight(tensor: GgufTensor) -> bool:
    return tensor.name.endswith(".weight") and tensor.shape[0] > _NARROW


def _shown(tensor: GgufTensor) -> str:
    return f"`{tensor.name}` ({tensor.shape[0]} wide)"
