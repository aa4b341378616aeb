"""What transformers 5 writes into a config.json in new words, told in the words that mlx-lm reads.

transformers 5 puts all about rotary positions into `rope_parameters`. Most models of mlx-lm
(0.32) read `rope_theta` and `rope_scaling`, and where these are missing take their own defaults
without a word: the conversion succeeds and the model is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ToolError
from .families import Config, model_type, size_of

_SLIDING, _FULL = "sliding_attention", "full_attention"
_ONE_PATTERN = ("gemma3", "gemma3_text", "cohere2")
"""Models for which mlx-lm knows only "every n-th layer sees all", and not a list of layers."""


def bridge(config: Config) -> dict[str, Any]:
    """The keys to add to a config so that mlx-lm reads from it what it means.

    Only keys that are absent or null; `text_config` comes whole, with its own additions. Adding
    them a second time adds nothing. Raises ToolError when mlx-lm has no words for a config.
    """
    added = _wanted(config)
    if "dtype" in config:
        added["torch_dtype"] = config["dtype"]
    if isinstance(inner := config.get("text_config"), Mapping):
        named = {"model_type": model_type(config), **inner}
        if more := _absent(_wanted(named), inner):
            added = _absent(added, config)
            return {**added, "text_config": {**inner, **more}}
    return _absent(added, config)


def _absent(added: Mapping[str, Any], config: Config) -> dict[str, Any]:
    missing = (key for key in added if config.get(key) is None)
    return {key: added[key] for key in missing if added[key] is not None}


def _wanted(config: Config) -> dict[str, Any]:
    kind = model_type(config)
    wanted = _positions(config)
    if kind in _ONE_PATTERN and isinstance(config.get("layer_types"), list):
        wanted["sliding_window_pattern"] = _pattern(config)
    if kind == "qwen3_moe":
        wanted["num_experts"] = config.get("num_local_experts")
        wanted["head_dim"] = _head_width(config)
    if kind == "gpt_neox":
        wanted["rotary_emb_base"] = wanted.get("rope_theta")
        wanted["rotary_pct"] = wanted.get("partial_rotary_factor")
    if kind == "gpt2":
        wanted["n_ctx"] = config.get("n_positions")
    return wanted


def _positions(config: Config) -> dict[str, Any]:
    """Rotary positions. Where layers differ, mlx-lm takes those of full attention as the main."""
    found = config.get("rope_parameters")
    if not isinstance(found, Mapping):
        return {}
    wanted: dict[str, Any] = {}
    if isinstance(main := found.get(_FULL), Mapping):
        if isinstance(local := found.get(_SLIDING), Mapping):
            wanted["rope_local_base_freq"] = local.get("rope_theta")
    else:
        main = found
        wanted["partial_rotary_factor"] = found.get("partial_rotary_factor")
    wanted["rope_theta"] = main.get("rope_theta")
    kind = main.get("rope_type") or main.get("type")
    if kind not in (None, "default"):
        other = ("rope_theta", "partial_rotary_factor")
        scaling = {key: value for key, value in main.items() if key not in other}
        wanted["rope_scaling"] = {**scaling, "type": kind, "rope_type": kind}
    return wanted


def _pattern(config: Config) -> int | None:
    """The n of "every n-th layer sees all, the others a window", when `layer_types` is that."""
    layers = config["layer_types"]
    if _SLIDING not in layers:
        return None
    every = layers.index(_FULL) + 1 if _FULL in layers else len(layers) + 1
    regular = [_SLIDING if at % every else _FULL for at in range(1, len(layers) + 1)]
    if layers == regular:
        return every
    if config.get("sliding_window_pattern") is None:
        raise ToolError(
            f"mlx-lm cannot express the `layer_types` of this {model_type(config)} model: "
            "its layers with full attention do not come at equal distances",
            hint="build a GGUF of it instead",
        )
    return None


def _head_width(config: Config) -> int | None:
    hidden, heads = size_of(config, "hidden_size"), size_of(config, "num_attention_heads")
    return hidden // heads if hidden and heads else None
