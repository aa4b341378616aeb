"""The settings of a model in a GGUF file: typed reading, and nothing unread.

The keys are `gguf.Keys` of gguf-py's constants.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import OTHER_PUBLICATION, ToolError

_COMMON = (
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_rms_epsilon",
    "attention.value_length",
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    # Nothing is computed with these.
    "rope.scaling.finetuned",
    "tensor_data_layout",
    "vocab_size",
)
_EXPERTS = ("expert_count", "expert_used_count", "expert_feed_forward_length")
_WINDOW = "attention.sliding_window"

KNOWN_KEYS: Mapping[str, tuple[str, ...]] = {
    "llama": (*_COMMON, *_EXPERTS, _WINDOW),
    "qwen2": _COMMON,
    "qwen3": _COMMON,
    "qwen3moe": (*_COMMON, *_EXPERTS),
    "phi3": (*_COMMON, _WINDOW, "rope.scaling.attn_factor"),
    "gemma3": (*_COMMON, _WINDOW, f"{_WINDOW}_pattern", "rope.freq_base_swa"),
}
"""By architecture, without their prefix: what `config.py` and `rope.py` read."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """`fields` are GGUF's keys and plain values. Keys below are without `<architecture>.`."""

    fields: Mapping[str, object]

    @property
    def architecture(self) -> str:
        name = self.fields.get("general.architecture")
        if not isinstance(name, str):
            raise ToolError(
                "the GGUF file does not say its `general.architecture`", hint=OTHER_PUBLICATION
            )
        return name

    def find(self, key: str) -> object:
        """The value as it is, or None."""
        return self.fields.get(f"{self.architecture}.{key}")

    def find_integer(self, key: str) -> int | None:
        """A whole number, or None. An array, one per layer, counts when all are equal.

        Raises ToolError for other values.
        """
        value = self.find(key)
        if isinstance(value, Sequence) and len(set(value)) == 1:
            value = value[0]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ToolError(
                f"`{self.architecture}.{key}` is {value!r}, not one whole number",
                hint=OTHER_PUBLICATION,
            )
        return value

    def integer(self, key: str) -> int:
        """A whole number from 1 that must be there: ToolError when it is not."""
        value = self.find_integer(key)
        if value is None:
            raise ToolError(
                f"the GGUF file does not say its `{self.architecture}.{key}`",
                hint=OTHER_PUBLICATION,
            )
        if value < 1:
            raise ToolError(f"`{self.architecture}.{key}` is {value}", hint=OTHER_PUBLICATION)
        return value

    def find_number(self, key: str) -> float | None:
        """The shortest decimal that means the kept float32, or None: 1e-06, not 9.99999997e-07.

        Raises ToolError when it is not a number.
        """
        value = self.find(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ToolError(
                f"`{self.architecture}.{key}` is {value!r}, not a number", hint=OTHER_PUBLICATION
            )
        return shortest(value)

    def number(self, key: str) -> float:
        """Like `find_number`, but it must be there: ToolError when it is not."""
        value = self.find_number(key)
        if value is None:
            raise ToolError(
                f"the GGUF file does not say its `{self.architecture}.{key}`",
                hint=OTHER_PUBLICATION,
            )
        return value

    def token(self, name: str) -> int | None:
        """The id of a special token: "bos", "eos", "eot", "padding"."""
        value = self.fields.get(f"tokenizer.ggml.{name}_token_id")
        return value if isinstance(value, int) else None

    def refuse_unknown(self) -> None:
        """Raise ToolError when the architecture, or one of its keys, is not in KNOWN_KEYS.

        A key that nobody reads may be a scale or a cap: the model would load and be wrong.
        """
        if self.architecture not in KNOWN_KEYS:
            raise ToolError(
                f"GGUF files of architecture `{self.architecture}` are not supported",
                hint=f"supported: {', '.join(KNOWN_KEYS)}",
            )
        prefix = f"{self.architecture}."
        known = {prefix + key for key in KNOWN_KEYS[self.architecture]}
        unknown = [key for key in self.fields if key.startswith(prefix) and key not in known]
        if unknown:
            raise ToolError(
                f"`{unknown[0]}` is not understood, and may change what the model computes",
                hint="start from the Hugging Face model it was made of",
            )


def shortest(value: float) -> float:
    """The float with the shortest decimals among those that are the same float32."""
    return float(str(np.float32(value)))
