"""What a model's own files say about how it was quantized. The tensors may say otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .families import Config, size_of, text_part

_NAMES = tuple(
    (found, re.compile(rf"(?<![A-Za-z0-9])({words})(?![A-Za-z0-9])", re.IGNORECASE))
    for found, words in (
        ("int4", "4-?bit|int4|gptq-?4(-?bit)?"),
        ("int8", "8-?bit|int8|gptq-?8(-?bit)?"),
        ("gptq", "gptq"),
        ("awq", "awq"),
    )
)
"""Cortex's hints, in its order."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`method` is the file's word for it, in lower case; `mlx` where MLX's own key is used.

    `layers` are group sizes of single modules (MLX), and `guessed_group` is for when nothing is
    said of any. `hidden` is the width of the model.
    """

    method: str | None = None
    bits: int | None = None
    group_size: int | None = None
    symmetric: bool | None = None
    act_order: bool | None = None
    layers: Mapping[str, int] = field(default_factory=dict)
    hidden: int | None = None
    guessed_group: int | None = None


def settings_of(config: Config, gptq: Config, awq: Config) -> Settings:
    """Out of config.json, or of the files that the first tools of GPTQ and AWQ wrote instead."""
    hidden = size_of(text_part(config), "hidden_size", "n_embd")
    if isinstance(mlx := config.get("quantization"), Mapping):
        return _mlx(mlx, hidden)
    inner = config.get("text_config")
    inner = inner if isinstance(inner, Mapping) else {}
    for found in (config.get("quantization_config"), inner.get("quantization_config")):
        if isinstance(found, Mapping) and found:
            return _hub(found, hidden)
    if gptq:
        return _hub({"quant_method": "gptq", **gptq}, hidden)
    if awq:
        return _hub({"quant_method": "awq", **awq}, hidden)
    return Settings(hidden=hidden)


def _mlx(found: Mapping[str, Any], hidden: int | None) -> Settings:
    layers = {
        module: size
        for module, own in found.items()
        if isinstance(own, Mapping) and (size := size_of(own, "group_size"))
    }
    return Settings(
        method="mlx",
        bits=size_of(found, "bits"),
        group_size=size_of(found, "group_size"),
        layers=layers,
        hidden=hidden,
    )


def _hub(found: Mapping[str, Any], hidden: int | None) -> Settings:
    """A `quantization_config`. mlx-lm writes one too, without a `quant_method`."""
    method = found.get("quant_method")
    if not isinstance(method, str):
        return _mlx(found, hidden)
    inner = _first_group(found)
    zero_point = found.get("zero_point")
    symmetric = _flag(found, "sym", "symmetric")
    if symmetric is None and isinstance(zero_point, bool):
        symmetric = not zero_point
    if symmetric is None:
        symmetric = _flag(inner, "symmetric")
    return Settings(
        method=method.lower()[:40],
        bits=size_of(found, "bits", "w_bit") or size_of(inner, "num_bits") or _torchao(found),
        group_size=size_of(found, "group_size", "q_group_size") or size_of(inner, "group_size"),
        symmetric=symmetric,
        act_order=_flag(found, "desc_act"),
        hidden=hidden,
    )


def _first_group(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The weights of compressed-tensors' first group of layers."""
    groups = found.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        if isinstance(group, Mapping) and isinstance(inner := group.get("weights"), Mapping):
            return inner
    return {}


def _torchao(found: Mapping[str, Any]) -> int | None:
    """torchao's bits stand in the name of its own config class: Int8WeightOnlyConfig."""
    kind = found.get("quant_type")
    if isinstance(kind, Mapping):
        kind = kind.get("default")
    if isinstance(kind, Mapping):
        kind = kind.get("_type")
    named = re.search(r"int([48])", kind.lower()) if isinstance(kind, str) else None
    return int(named[1]) if named else None


def _flag(found: Mapping[str, Any], *names: str) -> bool | None:
    flags: Sequence[Any] = [found.get(name) for name in names]
    return next((flag for flag in flags if isinstance(flag, bool)), None)


def quantization_in_name(name: str) -> str | None:
    """What a folder's name says, for weights that cannot be looked into. Whole words only."""
    return next((found for found, words in _NAMES if words.search(name)), None)
