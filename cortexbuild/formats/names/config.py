"""A config.json for the model in a GGUF file, as transformers 5.23 and mlx-lm 0.32.2 read it.

Both read the same keys except for rope: transformers 5 reads `rope_parameters`, most of mlx-lm's
models only `rope_theta` and `rope_scaling`, and fall back to a default in silence. So both are
written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import OTHER_PUBLICATION, ToolError
from .metadata import Metadata
from .rope import Factors, rope_parameters
from .tables import NAMINGS

Shapes = Mapping[str, tuple[int, ...]]
"""Of every tensor in the GGUF file, by its name there, the longest axis of a matrix's rows last."""

_MODEL_TYPES = {"qwen3moe": "qwen3_moe", "gemma3": "gemma3_text"}


def config_from_gguf(
    fields: Mapping[str, object], shapes: Shapes, factors: Factors
) -> dict[str, Any]:
    """The config.json, without a dtype: that is for whoever writes the weights.

    `fields` are the file's keys (arrays as lists; those of the tokenizer may be left out).
    Mistral and Llama are one architecture in GGUF, which says nothing of Mistral's sliding
    window: without one, the result is a llama, which computes the same.

    Raises ToolError for an architecture that is not supported, for a key that is missing or not
    understood, and for a model that one of the two libraries would compute differently.
    """
    metadata = Metadata(fields)
    metadata.refuse_unknown()
    if fields.get("general.type", "model") != "model":
        raise ToolError(
            f"the GGUF file is not a model but `{fields['general.type']}`",
            hint="name the file of the model itself",
        )
    config = _common(metadata, shapes)
    config |= _rope(metadata, factors, config)
    config |= _of_family(metadata, shapes, config)
    return config


def _common(metadata: Metadata, shapes: Shapes) -> dict[str, Any]:
    model_type = _model_type(metadata)
    hidden, heads = metadata.integer("embedding_length"), metadata.integer("attention.head_count")
    head_dim = metadata.find_integer("attention.key_length") or hidden // heads
    if metadata.find_integer("attention.value_length") not in (None, head_dim):
        raise ToolError(
            "keys and values of different lengths are not supported", hint=OTHER_PUBLICATION
        )
    # mlx-lm's models of these types do not read head_dim.
    if head_dim * heads != hidden and model_type in ("qwen2", "phi3", "mixtral"):
        raise ToolError(
            f"a {model_type} with {heads} heads of {head_dim} is not {hidden} wide",
            hint=OTHER_PUBLICATION,
        )
    eos, end_of_turn = metadata.token("eos"), metadata.token("eot")
    both = [token for token in (eos, end_of_turn) if token is not None]
    return {
        "architectures": [NAMINGS[model_type].architecture],
        "model_type": model_type,
        "vocab_size": _rows(shapes, "token_embd.weight"),
        "hidden_size": hidden,
        "intermediate_size": metadata.integer("feed_forward_length"),
        "num_hidden_layers": metadata.integer("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": metadata.find_integer("attention.head_count_kv") or heads,
        "head_dim": head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": metadata.integer("context_length"),
        "rms_norm_eps": metadata.number("attention.layer_norm_rms_epsilon"),
        "tie_word_embeddings": "output.weight" not in shapes,
        "bos_token_id": metadata.token("bos"),
        "eos_token_id": both if len(set(both)) == 2 else eos,
        "pad_token_id": metadata.token("padding"),
    }


def _model_type(metadata: Metadata) -> str:
    if metadata.architecture != "llama":
        return _MODEL_TYPES.get(metadata.architecture, metadata.architecture)
    if metadata.find_integer("expert_count"):
        return "mixtral"
    return "mistral" if metadata.find_integer("attention.sliding_window") else "llama"


def _rope(metadata: Metadata, factors: Factors, config: Mapping[str, Any]) -> dict[str, Any]:
    model_type, head_dim = config["model_type"], config["head_dim"]
    rope = rope_parameters(metadata, factors, head_dim)
    scaling = None
    if rope["rope_type"] != "default":
        scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
        scaling["type"] = rope["rope_type"]
    _check_scaling(model_type, rope["rope_type"])
    rotated = metadata.find_integer("rope.dimension_count") or head_dim
    if rotated != head_dim and model_type != "phi3":
        raise ToolError(
            f"rotating {rotated} of {head_dim} is not supported for {model_type}",
            hint=OTHER_PUBLICATION,
        )
    parts: dict[str, Any] = {"rope_theta": rope["rope_theta"], "rope_parameters": rope}
    if scaling:
        parts["rope_scaling"] = scaling
    if model_type == "phi3":
        parts["partial_rotary_factor"] = rope["partial_rotary_factor"] = rotated / head_dim
        original = metadata.find_integer("rope.scaling.original_context_length")
        parts["original_max_position_embeddings"] = original or config["max_position_embeddings"]
    if model_type == "gemma3_text":
        local = metadata.find_number("rope.freq_base_swa") or 10000.0
        sliding = {"rope_type": "default", "rope_theta": local}
        parts["rope_local_base_freq"] = local
        parts["rope_parameters"] = {"full_attention": rope, "sliding_attention": sliding}
    return parts


def _check_scaling(model_type: str, rope_type: str) -> None:
    """Refuse what one of the two libraries does not compute for a family."""
    both_compute = {
        "mixtral": (),  # mlx-lm's mixtral and qwen3_moe do not read rope_scaling
        "qwen3_moe": (),
        "phi3": ("longrope",),  # transformers' phi3 has no other
        "gemma3_text": ("linear",),
    }.get(model_type, ("linear", "yarn", "llama3"))
    if rope_type != "default" and rope_type not in both_compute:
        raise ToolError(
            f"rope scaling of type `{rope_type}` is not supported for {model_type}",
            hint=OTHER_PUBLICATION,
        )


def _of_family(metadata: Metadata, shapes: Shapes, config: Mapping[str, Any]) -> dict[str, Any]:
    model_type = config["model_type"]
    window = metadata.find_integer("attention.sliding_window") or None
    if model_type == "llama":
        return {
            "attention_bias": "blk.0.attn_q.bias" in shapes,
            "mlp_bias": "blk.0.ffn_gate.bias" in shapes,
        }
    if model_type in ("mistral", "phi3"):
        return {"sliding_window": window}
    if model_type == "gemma3_text":
        return _gemma3(metadata, config, window)
    if model_type in ("mixtral", "qwen3_moe"):
        return {"sliding_window": window, **_experts(metadata, config)}
    biases = {"attention_bias": "blk.0.attn_q.bias" in shapes} if model_type == "qwen3" else {}
    return {"use_sliding_window": False, **biases}


def _experts(metadata: Metadata, config: Mapping[str, Any]) -> dict[str, Any]:
    counts = {
        "num_local_experts": metadata.integer("expert_count"),
        "num_experts_per_tok": metadata.integer("expert_used_count"),
    }
    width = metadata.find_integer("expert_feed_forward_length")
    if config["model_type"] == "mixtral":
        return {**counts, "intermediate_size": width or config["intermediate_size"]}
    # GGUF keeps none of the last three: llama.cpp computes every qwen3moe with these.
    return {
        **counts,
        "num_experts": counts["num_local_experts"],
        "moe_intermediate_size": width or config["intermediate_size"],
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    }


def _gemma3(metadata: Metadata, config: Mapping[str, Any], window: int | None) -> dict[str, Any]:
    layers, head_dim = config["num_hidden_layers"], config["head_dim"]
    # Without a window all layers see everything; with one, every sixth does, as llama.cpp has it.
    pattern = (metadata.find_integer("attention.sliding_window_pattern") or 6) if window else 1
    # The 27B model alone scales by its width per head (llama.cpp's gemma3.cpp), not by head_dim.
    width_per_head = config["hidden_size"] // config["num_attention_heads"]
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": width_per_head if layers == 62 else head_dim,
        "sliding_window": window or config["max_position_embeddings"],
        "sliding_window_pattern": pattern,
        "layer_types": [
            "sliding_attention" if (layer + 1) % pattern else "full_attention"
            for layer in range(layers)
        ],
    }


def _rows(shapes: Shapes, name: str) -> int:
    if name not in shapes:
        raise ToolError(f"the GGUF file has no `{name}`", hint=OTHER_PUBLICATION)
    return shapes[name][0]
