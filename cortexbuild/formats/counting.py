"""What the headers of a model's weights tell together: parameters, and how they are stored."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from math import prod

from .facts import Method
from .quantized import Tensor, Tensors, is_companion, mlx_group, packed
from .settings import Settings

_BUFFER = re.compile(
    r"(.*[._])?(position_ids|attention_mask|token_type_ids|freqs_cos|freqs_sin|inv_freq"
    r"|cos_cached|sin_cached|masked_bias|e_score_correction_bias|rope_freqs\.weight"
    r"|rope_factors_(long|short)\.weight)"
)
"""Tensors that are computed and not learned. The first six are Cortex's list."""

_FLOATS = ("F64", "F32", "F16", "BF16")
_OUTPUTS = ("lm_head", "embed_out")
_EMBEDDINGS = ("embed_tokens.weight", "embed_tokens.qweight", "wte.weight", "embed_in.weight")
_WORDS_OF = {
    "gptq": ("gptq", "auto-round"),
    "awq": ("awq", "auto-round"),
    "bnb-nf4": ("bitsandbytes",),
    "bnb-fp4": ("bitsandbytes",),
    "bnb-int8": ("bitsandbytes",),
    "mlx-mxfp4": ("mlx",),
    "mlx-nvfp4": ("mlx",),
    "mlx-mxfp8": ("mlx",),
    "fp8": ("fp8", "fbgemm_fp8", "modelopt"),
}
"""What a `quant_method` may be for what the tensors are."""


@dataclass(frozen=True, slots=True)
class Survey:
    """`parameters` is None when some of the weights are packed in a way that is not known here."""

    parameters: int | None
    method: Method | None
    warnings: tuple[str, ...] = ()


def survey(tensors: Tensors, settings: Settings, *, tied: bool) -> Survey:
    """Count and recognise. With `tied`, an output that the file has beside the embedding is not
    counted: the model would not use it.

    Raises IntegrityError when shapes do not fit together.
    """
    settings = replace(settings, guessed_group=mlx_group(tensors, settings.hidden))
    embedded = any(name.endswith(_EMBEDDINGS) for name in tensors)
    total, known = 0, True
    ways: Counter[tuple[str, int, int | None]] = Counter()
    for name, tensor in tensors.items():
        if is_companion(name, tensors) or (tied and embedded and _is_output(name)):
            continue
        if found := packed(name, tensors, settings):
            total += found.values
            ways[found.method, found.bits, found.group_size] += found.values
        elif not _is_buffer(name, tensor):
            total += prod(tensor.shape)
            known = known and tensor.dtype in _FLOATS
    method, warnings = _method(ways, settings, known=known)
    return Survey(total if known else None, method, warnings)


def _method(
    ways: Counter[tuple[str, int, int | None]], settings: Settings, *, known: bool
) -> tuple[Method | None, tuple[str, ...]]:
    said = settings.method
    extra = (settings.symmetric, settings.act_order)
    if not ways and (known or said is None):
        warning = f"config.json says {said}, but no tensor is quantized"
        return None, (warning,) if said else ()
    if not ways:
        return Method(str(said), settings.bits, settings.group_size, *extra), ()
    name, bits, group = max(ways, key=lambda way: (ways[way], str(way)))
    agreed = said in (None, name, *_WORDS_OF.get(name, ()))
    warnings = () if agreed else (f"config.json says {said}, but the tensors are {name}",)
    return Method(name, bits, group, *extra), warnings


def _is_output(name: str) -> bool:
    return any(part in _OUTPUTS for part in name.split("."))


def is_buffer_name(name: str) -> bool:
    return bool(_BUFFER.fullmatch(name))


def _is_buffer(name: str, tensor: Tensor) -> bool:
    if is_buffer_name(name) or tensor.dtype in ("BOOL", "I64"):
        return True
    # GPT-2 and GPT-NeoX saved their causal masks under the name of a bias.
    return name.endswith((".attn.bias", ".attention.bias")) and len(tensor.shape) == 4
