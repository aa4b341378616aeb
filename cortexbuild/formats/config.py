"""What a config.json says about running a model: its size, its context, the memory it takes."""

from __future__ import annotations

from collections.abc import Mapping

from .bridge import bridge
from .families import Config, size_of, text_part
from .parameters import experts, parameters

__all__ = [
    "OVERHEAD_BYTES",
    "bridge",
    "context_length",
    "experts",
    "kv_cache_bytes",
    "memory_to_run",
    "parameters",
]

OVERHEAD_BYTES = 512 * 2**20
"""What running takes beside weights and KV cache.

Half of it is the process: mlx-lm held 254 MB (`ru_maxrss`, Linux) before the first weight. The
other half is the largest buffer of a prompt: scores of 512 tokens over a vocabulary of 128
thousand, in 32 bits.
"""

_CONTEXT = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
    "n_ctx",
)
_STRETCHED = ("linear", "dynamic", "yarn", "deepseek_yarn")
_LONGEST = 2**32
_WINDOWED = ("sliding_attention", "chunked_attention")
_WITHOUT_ATTENTION = ("linear_attention", "mamba", "mamba2", "conv", "recurrent")


def context_length(config: Config, tokenizer: Config | None = None) -> int | None:
    """The longest context in tokens. `tokenizer` is tokenizer_config.json, asked last.

    Rotary scaling counts as vLLM counts it: linear, dynamic and YaRN stretch the original length
    by their factor; llama3 and LongRoPE, and Gemma 3, write the stretched length itself.
    """
    text = text_part(config)
    written = size_of(text, *_CONTEXT)
    if written is None:
        limit = size_of(tokenizer or {}, "model_max_length")  # 10^30 stands for "none"
        return limit if limit and limit <= _LONGEST else None
    scaling = _scaling(text)
    factor = _factor(scaling)
    kind = scaling.get("rope_type") or scaling.get("type")
    gemma = str(text.get("model_type")).startswith("gemma3")
    if gemma or kind not in _STRETCHED or factor is None:
        return written
    original = size_of(scaling, "original_max_position_embeddings")
    original = original or size_of(text, "original_max_position_embeddings") or written
    return max(written, round(original * factor))


def kv_cache_bytes(config: Config, context: int, bytes_per_value: int = 2) -> int | None:
    """The KV cache of one sequence of `context` tokens; None when the config does not tell.

    Layers with a window keep at most that many tokens, as far as `layer_types` or
    `sliding_window_pattern` name them: a `sliding_window` alone is not believed, since mlx-lm
    and llama.cpp do not use Mistral's. Layers without attention keep a state that does not grow,
    which is left out.
    """
    text = text_part(config)
    layers = size_of(text, "num_hidden_layers", "n_layer")
    values = _values_per_token(text)
    if layers is None or values is None:
        return None
    whole, windowed = _layers(text, layers)
    window = size_of(text, "sliding_window", "attention_chunk_size") or context
    tokens = whole * context + windowed * min(window, context)
    return tokens * values * bytes_per_value


def memory_to_run(weight_bytes: int, config: Config, context: int) -> int | None:
    """Bytes to hold weights, a 16-bit KV cache of `context` tokens, and OVERHEAD_BYTES."""
    cache = kv_cache_bytes(config, context)
    return None if cache is None else weight_bytes + cache + OVERHEAD_BYTES


def _scaling(text: Config) -> Config:
    for key in ("rope_scaling", "rope_parameters"):
        found = text.get(key)
        if isinstance(found, Mapping):
            whole = found.get("full_attention")
            return whole if isinstance(whole, Mapping) else found
    return {}


def _factor(scaling: Config) -> float | None:
    found = scaling.get("factor")
    return found if isinstance(found, int | float) and 1 <= found <= 1024 else None


def _values_per_token(text: Config) -> int | None:
    """Of one layer: a key and a value per group of heads, or DeepSeek's one latent vector."""
    if rank := size_of(text, "kv_lora_rank"):
        return rank + (size_of(text, "qk_rope_head_dim") or 0)
    hidden = size_of(text, "hidden_size", "n_embd")
    heads = size_of(text, "num_attention_heads", "n_head")
    if hidden is None or heads is None:
        return None
    width = size_of(text, "head_dim") or hidden // heads
    return 2 * (size_of(text, "num_key_value_heads") or heads) * width


def _layers(text: Config, layers: int) -> tuple[int, int]:
    """How many layers keep the whole context, and how many only a window of it."""
    named = text.get("layer_types")
    if isinstance(named, list) and named:
        windowed = sum(1 for kind in named if kind in _WINDOWED)
        without = sum(1 for kind in named if kind in _WITHOUT_ATTENTION)
        return len(named) - windowed - without, windowed
    if every := size_of(text, "sliding_window_pattern"):
        return layers // every, layers - layers // every
    return layers, 0
