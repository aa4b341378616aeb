"""How a tensor packs quantized weights, by the names and shapes around it. Reads no data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Protocol

from .foreign import refuse, shown
from .settings import Settings


class Tensor(Protocol):
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Packed:
    """What one tensor holds. `group_size` is None where a whole row shares one scale."""

    method: str
    bits: int
    group_size: int | None
    values: int


_MLX_BITS = (1, 2, 3, 4, 5, 6, 8)
_MLX_GROUP = 64
"""The group size that mlx-lm takes when nothing is said (`defaults_for_mode`)."""

_MLX_FLOATS = {(4, 32): "mlx-mxfp4", (4, 16): "mlx-nvfp4", (8, 32): "mlx-mxfp8"}
"""MLX's modes without biases, by bits and group size."""

_READS_HIDDEN = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "embed_tokens", "lm_head")
_WORD = 32
_COMPANION = re.compile(
    r"qzeros|g_idx|SCB|weight_format|(nested_)?(absmax|quant_map)"
    r"|weight_(scale|scale_inv|scale_2|shape|zero_point|g_idx|global_scale)"
    r"|input_(scale|zero_point|global_scale)|activation_scale|[qkv]_scale"
)
"""Last parts of the names that GPTQ, AWQ, bitsandbytes, compressed-tensors and fp8 use."""


def is_companion(name: str, tensors: Tensors) -> bool:
    """Whether a tensor only tells how to unpack another one."""
    module, _, leaf = name.rpartition(".")
    if _COMPANION.fullmatch(leaf) or ".quant_state." in name:
        return True
    if leaf in ("scales", "biases"):
        weight = tensors.get(f"{module}.weight")
        return f"{module}.qweight" in tensors or (weight is not None and weight.dtype == "U32")
    for ending, partner in (("_scales", "_blocks"), ("_scale", ""), ("_scale_inv", "")):
        if leaf.endswith(ending) and name.removesuffix(ending) + partner in tensors:
            return True
    torchao = ("_scale", "_zero_point", "_scale_and_zero", "_per_tensor_scale")
    return any(f"{name.removesuffix(ending)}_qdata" in tensors for ending in torchao)


def packed(name: str, tensors: Tensors, settings: Settings) -> Packed | None:
    """What the tensor packs; None when it is an ordinary one.

    Raises IntegrityError when its shape does not fit those of its companions.
    """
    module, _, leaf = name.rpartition(".")
    tensor = tensors[name]
    values = prod(tensor.shape)
    match leaf, tensor.dtype:
        case "qweight", "I32" | "U32":
            return _gptq_or_awq(module, tensors, settings)
        case "weight_packed", "I32" | "U8":
            return _compressed(tensor, settings)
        case "weight", "U32" if f"{module}.scales" in tensors:
            return _mlx(module, tensors, settings)
        case "weight", "U8" if f"{name}.absmax" in tensors:
            return _bitsandbytes(name, tensors)
        case "weight", "I8" if f"{module}.SCB" in tensors:
            return Packed("bnb-int8", 8, None, values)
        case "weight", "I8" if f"{name}_scale" in tensors:
            return Packed("compressed-tensors", 8, None, values)
        case _, "F8_E4M3" | "F8_E5M2" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ":
            whole = settings.method == "compressed-tensors"
            return Packed("compressed-tensors" if whole else "fp8", 8, None, values)
        case _, "U8" if leaf.endswith("_blocks") and _scales_of_blocks(name) in tensors:
            return Packed("mxfp4", 4, 32, 2 * values)
        case _, "I8" if leaf.endswith("_qdata"):
            return Packed("torchao", settings.bits or 8, None, values)
    return None


def _scales_of_blocks(name: str) -> str:
    return name.removesuffix("_blocks") + "_scales"


def _gptq_or_awq(module: str, tensors: Tensors, settings: Settings) -> Packed:
    """GPTQ packs along the inputs, [in/8, out]; AWQ along the outputs, [in, out/8]."""
    here = shown(module)
    weight, scales = tensors[f"{module}.qweight"], tensors.get(f"{module}.scales")
    zeros = tensors.get(f"{module}.qzeros")
    flat = [part for part in (weight, scales, zeros) if part is not None]
    if scales is None or any(len(part.shape) != 2 for part in flat) or not prod(scales.shape):
        raise refuse(here, "has a `qweight` without the `scales` that belong to it")
    groups, outputs = scales.shape
    if weight.shape[1] == outputs:
        method = "gptq"
        bits = _WORD * zeros.shape[1] // outputs if zeros is not None else settings.bits or 4
    elif zeros is not None and weight.shape[1] == zeros.shape[1]:
        method, bits = "awq", _WORD * weight.shape[1] // outputs
    else:  # AWQ's layout for single vectors: [out, in/8]
        method, bits = settings.method or "awq", settings.bits or 4
    if not 2 <= bits <= 8 or prod(weight.shape) * _WORD % bits:
        raise refuse(here, f"its shapes {[part.shape for part in flat]} fit no number of bits")
    values = prod(weight.shape) * _WORD // bits
    inputs = values // outputs
    group = None if groups == 1 else settings.group_size if inputs % groups else inputs // groups
    return Packed(method, bits, group, values)


def _compressed(tensor: Tensor, settings: Settings) -> Packed:
    bits = settings.bits if settings.bits in (2, 3, 4, 8) else 4
    width = _WORD if tensor.dtype == "I32" else 8
    values = prod(tensor.shape) * width // bits
    return Packed("compressed-tensors", bits, settings.group_size, values)


def _bitsandbytes(name: str, tensors: Tensors) -> Packed:
    kind = "fp4" if f"{name}.quant_state.bitsandbytes__fp4" in tensors else "nf4"
    values = 2 * prod(tensors[name].shape)
    blocks = prod(tensors[f"{name}.absmax"].shape)
    return Packed(f"bnb-{kind}", 4, values // blocks if blocks else None, values)


def _mlx(module: str, tensors: Tensors, settings: Settings) -> Packed:
    weight, scales = tensors[f"{module}.weight"], tensors[f"{module}.scales"]
    group = settings.layers.get(module) or settings.group_size or settings.guessed_group
    words, groups = weight.shape[-1:], scales.shape[-1:]
    if not words or not groups or not groups[0] or not group:
        raise refuse(shown(module), "has scales that are not in groups")
    bits, rest = divmod(_WORD * words[0], groups[0] * group)
    if rest or bits not in _MLX_BITS:
        what = f"its shapes {weight.shape} and {scales.shape} do not fit groups of {group}"
        raise refuse(shown(module), what)
    affine = f"{module}.biases" in tensors
    method = "mlx" if affine else _MLX_FLOATS.get((bits, group), "mlx")
    return Packed(method, bits, group, prod(weight.shape) * _WORD // bits)


def mlx_group(tensors: Tensors, hidden: int | None) -> int:
    """The group size of an MLX model whose config is silent.

    Packed words and scales alone cannot tell 4 bits in groups of 64 from 8 bits in groups of 32,
    but the width that a layer reads can: it is the model's own, which its norms have too.
    """
    if hidden is None:
        norms = (
            tensors[name].shape[0] for name in tensors if _is_norm(name) and tensors[name].shape
        )
        common = Counter(norms).most_common(1)
        hidden = common[0][0] if common else 0
    for name in sorted(tensors):
        module, _, leaf = name.rpartition(".")
        if leaf == "scales" and module.endswith(_READS_HIDDEN):
            groups = tensors[name].shape[-1:]
            if groups and groups[0] and hidden and hidden % groups[0] == 0:
                return hidden // groups[0]
    return _MLX_GROUP


def _is_norm(name: str) -> bool:
    """A norm as wide as the model; those of queries and keys are as wide as a head."""
    return name.endswith("norm.weight") and not name.endswith(("q_norm.weight", "k_norm.weight"))
