"""The common families of models: what their layers have, and what their configs leave out.

From the model and config classes of transformers 5; the tests compare with these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Config = Mapping[str, Any]
Switch = bool | str
"""Whether something is there: always, never, or when the key of this name is true."""

_LARGEST = 2**40
_NESTED = ("text_config", "llm_config", "language_config")


@dataclass(frozen=True, slots=True)
class Family:
    """`defaults` are what a config leaves out: transformers 4 writes no nested value that is one.

    `norms` are per layer and as wide as the model; `key_norm` says how wide those of queries and
    keys are. `tied` is whether the embedding is the output too, for a config that is silent.
    """

    attention_bias: Switch = False
    output_bias: Switch = False
    mlp_bias: Switch = False
    head_bias: bool = False
    gated: bool = True
    norms: int = 2
    norm_bias: bool = False
    key_norm: Literal["none", "head", "full"] = "none"
    positions: bool = False
    tied: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)


_LLAMA = Family("attention_bias", "attention_bias", "mlp_bias")
_QWEN2 = Family(attention_bias=True)
_QWEN3 = Family("attention_bias", "attention_bias", key_norm="head")
_GEMMA3 = Family(
    "attention_bias",
    "attention_bias",
    norms=4,
    key_norm="head",
    tied=True,
    defaults={
        "vocab_size": 262_208,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131_072,
        "sliding_window": 4096,
        "sliding_window_pattern": 6,
    },
)

FAMILIES: Mapping[str, Family] = {
    "llama": _LLAMA,
    "mistral": Family(),
    "ministral3": Family(),
    "mixtral": Family(),
    "qwen2": _QWEN2,
    "qwen2_moe": Family(attention_bias="qkv_bias", defaults={"qkv_bias": True}),
    "qwen3": _QWEN3,
    "qwen3_moe": _QWEN3,
    "gemma": Family("attention_bias", "attention_bias", tied=True, defaults={"head_dim": 256}),
    "gemma2": Family(
        "attention_bias",
        "attention_bias",
        norms=4,
        tied=True,
        defaults={"head_dim": 256, "sliding_window": 4096, "sliding_window_pattern": 2},
    ),
    "gemma3_text": _GEMMA3,
    "phi3": Family(),
    "phi": Family(True, True, True, head_bias=True, gated=False, norms=1, norm_bias=True),
    "smollm3": Family("attention_bias", "attention_bias", "mlp_bias", tied=True),
    "granite": _LLAMA,
    "olmo2": Family("attention_bias", "attention_bias", key_norm="full"),
    "olmoe": Family("attention_bias", "attention_bias", key_norm="full"),
    "starcoder2": Family(
        "use_bias",
        "use_bias",
        "use_bias",
        gated=False,
        norm_bias=True,
        tied=True,
        defaults={"use_bias": True},
    ),
    "glm4": Family("attention_bias", norms=4),
    "gpt2": Family(True, True, True, gated=False, norm_bias=True, positions=True, tied=True),
    "gpt_neox": Family(
        "attention_bias",
        "attention_bias",
        True,
        gated=False,
        norm_bias=True,
        defaults={"attention_bias": True},
    ),
    "deepseek_v3": Family("attention_bias", "attention_bias"),
}
"""By `model_type`. A type that is not here is not guessed at."""


def family_of(config: Config) -> Family | None:
    """The family of the language model in `config`, which may be one part of a larger model."""
    return FAMILIES.get(model_type(_language_part(config)) or model_type(config) or "")


def model_type(config: Config) -> str | None:
    found = config.get("model_type")
    return found if isinstance(found, str) and found else None


def text_part(config: Config) -> dict[str, Any]:
    """The config of the language model alone, with its family's defaults and without nulls."""
    family = family_of(config)
    given = {key: value for key, value in _language_part(config).items() if value is not None}
    return {**(family.defaults if family else {}), **given}


def is_tied(config: Config) -> bool:
    """Whether the embedding of the language model is its output too."""
    family = family_of(config)
    for part in (config, _language_part(config)):
        if isinstance(found := part.get("tie_word_embeddings"), bool):
            return found
    return family.tied if family else False


def size_of(config: Config, *names: str) -> int | None:
    """The first of these keys that has a size: a whole number from 1 to 2^40."""
    for name in names:
        found = config.get(name)
        if type(found) is int and 0 < found <= _LARGEST:
            return found
    return None


def _language_part(config: Config) -> Config:
    parts = (config.get(name) for name in _NESTED)
    return next((part for part in parts if isinstance(part, Mapping)), config)
