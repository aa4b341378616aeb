"""The settings of a GGUF file for a model of Hugging Face: the inverse of `names/config.py`.

The keys and what llama.cpp's converter puts there: its conversion/{base,llama,qwen,phi,gemma}.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ToolError, shown
from ..families import text_part
from ..names.rope import llama3_divisors

Fields = Mapping[str, int | float | str | bool]
Factors = Mapping[str, NDArray[np.float32]]

ARCHITECTURES: Mapping[str, str] = {
    "llama": "llama",
    "mistral": "llama",
    "mixtral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe",
    "phi3": "phi3",
    "gemma3_text": "gemma3",
}
"""By `model_type` of config.json."""

_CONVERT = "`unpack` it and make the GGUF with llama.cpp's own converter"
_THETA = {"mixtral": 1e6, "gemma3_text": 1e6}
"""The base of rotary positions where a config is silent and it is not 10000."""

_UNSAID = ("attention_bias", "mlp_bias", "final_logit_softcapping", "attn_logit_softcapping")
"""What must not be set where the file has no word for it."""

WIDEST_HEAD = 65_536
"""Numbers of an attention head; real ones have up to 576. An array is made of them."""

_COMPARED = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "hidden_act", "hidden_activation", "rms_norm_eps",
    "max_position_embeddings", "tie_word_embeddings", "layer_types", "query_pre_attn_scalar",
    "sliding_window_pattern", "num_local_experts", "num_experts", "num_experts_per_tok",
    "moe_intermediate_size", "norm_topk_prob", "decoder_sparse_step", "mlp_only_layers",
    "partial_rotary_factor", *_UNSAID,
)  # fmt: skip
"""What the file must say as the config says it, or the model computes something else."""


def fields_of(config: Mapping[str, Any]) -> tuple[Fields, Factors]:
    """The file's keys, and the tensors that positions need besides (ROPE_TENSORS).

    Raises ToolError for a family or a scaling of positions that is not supported.
    """
    kind = str(config.get("model_type"))
    if kind not in ARCHITECTURES:
        raise ToolError(f"models of type {shown(kind)} are not supported", hint=_CONVERT)
    try:
        return _fields(config, kind)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        what = f"{type(error).__name__}: {shown(str(error))}"
        raise ToolError(
            f"config.json is not one of a {kind} ({what})", hint="fetch the model again"
        ) from error


def _fields(config: Mapping[str, Any], kind: str) -> tuple[Fields, Factors]:
    config, architecture = text_part(config), ARCHITECTURES[kind]
    rope = _rope(config, kind)
    head_dim = _head_dim(config)
    keys: dict[str, int | float | str | bool] = {
        "block_count": config["num_hidden_layers"],
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": _kv_heads(config),
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        "vocab_size": config["vocab_size"],
        "rope.freq_base": float(rope.get("rope_theta") or _THETA.get(kind, 10000.0)),
        "rope.dimension_count": head_dim,
        **dict(_scaling(rope)),
        **dict(_of_family(config, kind, rope, head_dim)),
    }
    fields = {f"{architecture}.{key}": value for key, value in keys.items()}
    return {"general.architecture": architecture, **fields}, _factors(rope, head_dim)


def check_same(config: Mapping[str, Any], written: Mapping[str, Any]) -> None:
    """Compare the config of a model with what `tensors.read_config` gives for the file.

    Raises ToolError that names the first key whose meaning did not survive.
    """
    config = text_part(config)
    config = {"head_dim": _head_dim(config), "num_key_value_heads": _kv_heads(config), **config}
    for key in _COMPARED:
        meant, said = config.get(key), written.get(key)
        if key not in written and not (key in _UNSAID and meant):
            continue
        if key == "hidden_act" and "hidden_activation" in written:
            continue  # Gemma reads the other one
        if meant is not None and not _same(meant, said):
            config_has = shown(f"{key}: {meant}")
            raise ToolError(
                f"config.json has {config_has}, and a GGUF of this family means {said}",
                hint=_CONVERT,
            )


def _same(meant: object, said: object) -> bool:
    if isinstance(meant, int | float) and isinstance(said, int | float):
        return math.isclose(meant, said, rel_tol=1e-6)
    return meant == said


def _head_dim(config: Mapping[str, Any]) -> int:
    width = int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
    if not 0 < width <= WIDEST_HEAD:
        raise ValueError(f"heads of {width} numbers")
    return width


def _kv_heads(config: Mapping[str, Any]) -> int:
    return int(config.get("num_key_value_heads") or config["num_attention_heads"])


def _rope(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Rotary positions in one form, out of transformers 5's words or the earlier ones."""
    found = dict(config.get("rope_parameters") or {})
    if kind == "gemma3_text" and "full_attention" in found:
        local = found.get("sliding_attention") or {}
        found = {**found["full_attention"], "local": local.get("rope_theta")}
    older = dict(config.get("rope_scaling") or {})
    older |= {key: config[key] for key in ("rope_theta", "partial_rotary_factor") if key in config}
    if (local := config.get("rope_local_base_freq")) is not None:
        older["local"] = local
    rope = {**older, **{key: value for key, value in found.items() if value is not None}}
    rope["rope_type"] = rope.get("rope_type") or rope.get("type") or "default"
    return rope


def _scaling(rope: Mapping[str, Any]) -> Iterator[tuple[str, int | float | str]]:
    kind = rope["rope_type"]
    if kind in ("default", "llama3"):
        return
    others = ("attention_factor", "mscale", "mscale_all_dim", "extrapolation_factor")
    if kind not in ("linear", "yarn") or any(rope.get(name) is not None for name in others):
        what = f"rope scaling of type {shown(str(kind))}"
        raise ToolError(f"{what} is not supported here", hint=_CONVERT)
    yield "rope.scaling.type", kind
    yield "rope.scaling.factor", float(rope["factor"])
    if kind == "yarn":
        original = rope["original_max_position_embeddings"]
        yield "rope.scaling.original_context_length", int(original)
        for name in ("beta_fast", "beta_slow"):
            if rope.get(name) is not None:
                yield f"rope.scaling.yarn_{name}", float(rope[name])


def _factors(rope: Mapping[str, Any], head_dim: int) -> Factors:
    if rope["rope_type"] != "llama3":
        return {}
    theta = float(rope.get("rope_theta") or 10000.0)
    lengths = 2 * math.pi * theta ** (np.arange(0, head_dim, 2) / head_dim)
    return {"rope_freqs.weight": llama3_divisors(rope, lengths).astype(np.float32)}


def _of_family(
    config: Mapping[str, Any], kind: str, rope: Mapping[str, Any], head_dim: int
) -> Iterator[tuple[str, int | float]]:
    if kind in ("mixtral", "qwen3_moe"):
        yield "expert_count", config.get("num_local_experts") or config["num_experts"]
        yield "expert_used_count", config["num_experts_per_tok"]
    if kind == "qwen3_moe":
        yield "expert_feed_forward_length", config["moe_intermediate_size"]
    if kind == "phi3":
        yield "attention.sliding_window", config.get("sliding_window") or 0
        partial = rope.get("partial_rotary_factor") or 1.0
        yield "rope.dimension_count", int(head_dim * partial)
        original = config.get("original_max_position_embeddings")
        yield (
            "rope.scaling.original_context_length",
            original or config["max_position_embeddings"],
        )
    if kind == "gemma3_text" and config.get("sliding_window_pattern") != 1:
        yield "attention.sliding_window", config["sliding_window"]
        yield "rope.freq_base_swa", float(rope.get("local") or 10000.0)
