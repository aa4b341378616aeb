"""How positions are encoded: from a GGUF's keys and factors to `rope_parameters`.

The forms are those of transformers' modeling_rope_utils.py, which mlx-lm's rope_utils.py shares.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import OTHER_PUBLICATION, ToolError
from .metadata import Metadata, shortest

Factors = Mapping[str, NDArray[np.float32]]
"""By the name of their GGUF tensor: names.ROPE_TENSORS."""


def rope_parameters(metadata: Metadata, factors: Factors, head_dim: int) -> dict[str, Any]:
    """`rope_type`, `rope_theta` and what the type needs, as transformers 5 writes them.

    Raises ToolError for a type or for factors that cannot be told in these words.
    """
    # llama.cpp takes 10000 when the key is missing.
    theta = metadata.find_number("rope.freq_base") or 10000.0
    if "rope_freqs.weight" in factors:
        scaling = _llama3(factors["rope_freqs.weight"], theta, head_dim)
    elif "rope_factors_long.weight" in factors:
        scaling = _longrope(metadata, factors)
    else:
        scaling = _scaling_by_type(metadata)
    return {"rope_theta": theta, **scaling}


def _scaling_by_type(metadata: Metadata) -> dict[str, Any]:
    kind = metadata.find("rope.scaling.type")
    factor = metadata.find_number("rope.scaling.factor")
    old_linear = metadata.find_number("rope.scale_linear")
    if kind is None and factor is None and old_linear is not None:
        kind, factor = "linear", old_linear
    if kind in (None, "none") or factor == 1.0:
        return {"rope_type": "default"}
    if kind not in ("linear", "yarn") or factor is None:
        raise ToolError(
            f"rope scaling of type {kind!r} with factor {factor} is not supported",
            hint=OTHER_PUBLICATION,
        )
    scaling: dict[str, Any] = {"rope_type": kind, "factor": factor}
    if kind == "yarn":
        original = metadata.integer("rope.scaling.original_context_length")
        scaling["original_max_position_embeddings"] = original
        for name in ("beta_fast", "beta_slow"):
            beta = metadata.find_number(f"rope.scaling.yarn_{name}")
            if beta is not None:
                scaling[name] = beta
    return scaling


def _longrope(metadata: Metadata, factors: Factors) -> dict[str, Any]:
    original = metadata.integer("rope.scaling.original_context_length")
    ratio = metadata.integer("context_length") / original
    expected = math.sqrt(1 + math.log(ratio) / math.log(original)) if ratio > 1 < original else 1.0
    attention = metadata.find_number("rope.scaling.attn_factor") or expected
    # mlx-lm computes this factor itself; one that differs could not be handed to it.
    if not math.isclose(attention, expected, rel_tol=1e-5):
        raise ToolError(
            f"a longrope attention factor of {attention} is not supported", hint=OTHER_PUBLICATION
        )
    return {
        "rope_type": "longrope",
        "original_max_position_embeddings": original,
        "short_factor": _numbers(factors, "rope_factors_short.weight"),
        "long_factor": _numbers(factors, "rope_factors_long.weight"),
    }


def _numbers(factors: Factors, name: str) -> list[float]:
    if name not in factors:
        raise ToolError(
            f"the GGUF file has long factors of rope but no `{name}`", hint=OTHER_PUBLICATION
        )
    return [shortest(number) for number in factors[name].tolist()]


def _llama3(factors: NDArray[np.float32], theta: float, head_dim: int) -> dict[str, Any]:
    """Llama 3's four numbers, from the divisor of each frequency that llama.cpp keeps instead.

    Only ratios of the four are in the divisors, so what is returned computes the same, but need
    not be what was written: `low_freq_factor` is always 1.
    """
    if len(factors) * 2 != head_dim:
        raise ToolError(
            f"{len(factors)} rope factors do not fit heads of {head_dim}", hint=OTHER_PUBLICATION
        )
    lengths = 2 * math.pi * theta ** (np.arange(0, head_dim, 2) / head_dim)
    for scaling in _llama3_candidates(factors.astype(np.float64), lengths):
        if np.allclose(llama3_divisors(scaling, lengths), factors, rtol=1e-5, atol=0):
            return {"rope_type": "llama3", **scaling}
    raise ToolError(
        "the rope factors of the GGUF file do not follow Llama 3's rule", hint=OTHER_PUBLICATION
    )


def llama3_divisors(scaling: Mapping[str, Any], lengths: NDArray[np.float64]) -> NDArray[Any]:
    """What each frequency is divided by, given its wave length in tokens.

    1 for the short waves, `factor` for the long ones, and between them the interpolation of
    transformers' `_compute_llama3_parameters`.
    """
    factor, low, high = (scaling[k] for k in ("factor", "low_freq_factor", "high_freq_factor"))
    smooth = (scaling["original_max_position_embeddings"] / lengths - low) / (high - low)
    smooth = np.clip(smooth, 0.0, 1.0)
    return np.asarray(1 / ((1 - smooth) / factor + smooth))


def _llama3_candidates(
    divisors: NDArray[np.float64], lengths: NDArray[np.float64]
) -> Iterator[dict[str, Any]]:
    factor = float(divisors[-1])
    yield _llama3_numbers(factor, 8192.0, 4.0)  # what Meta's models use
    between = (divisors > 1) & (divisors < factor)
    if factor <= 1 or between.sum() == 0:
        return
    smooth = (1 / divisors[between] - 1 / factor) / (1 - 1 / factor)
    yield _llama3_numbers(factor, float(np.mean((1 + 3 * smooth) * lengths[between])), 4.0)
    if between.sum() > 1:
        # smooth = slope / length + start, with start = -low / (high - low) and low = 1.
        slope, start = np.polyfit(1 / lengths[between], smooth, 1)
        yield _llama3_numbers(factor, float(-slope / start), float(1 - 1 / start))


def _llama3_numbers(factor: float, original: float, high: float) -> dict[str, Any]:
    return {
        "factor": shortest(factor),
        "low_freq_factor": 1.0,
        "high_freq_factor": round(high, 4),
        "original_max_position_embeddings": round(original),
    }
