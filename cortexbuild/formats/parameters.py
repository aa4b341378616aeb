"""How many parameters a model has, by its config.json alone."""

from __future__ import annotations

from collections.abc import Mapping

from .families import Config, Family, Switch, family_of, is_tied, model_type, size_of, text_part

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


def experts(config: Config) -> int | None:
    """How many experts each of a mixture's layers has; None for a model that is no mixture."""
    return size_of(text_part(config), *_EXPERTS)


def parameters(config: Config) -> int | None:
    """The parameters of a model, exact for the families we know and None for all others.

    `num_parameters`, where a config has it, is believed.
    """
    if declared := size_of(config, "num_parameters"):
        return declared
    family = family_of(config)
    language = _language_model(text_part(config), family, tied=is_tied(config)) if family else None
    vision = config.get("vision_config")
    if language is None or config.get("audio_config") is not None:
        return None
    if vision is None:
        return language
    seeing = _gemma3_vision(config, vision) if model_type(config) == "gemma3" else None
    return language + seeing if seeing else None


def _language_model(text: Config, family: Family, *, tied: bool) -> int | None:
    hidden = size_of(text, "hidden_size", "n_embd")
    layers = size_of(text, "num_hidden_layers", "n_layer")
    vocabulary = size_of(text, "vocab_size")
    heads = size_of(text, "num_attention_heads", "n_head")
    if hidden is None or layers is None or vocabulary is None or heads is None:
        return None
    feed_forward = _feed_forward(text, family, hidden, layers)
    positions = size_of(text, "max_position_embeddings", "n_positions") if family.positions else 0
    if feed_forward is None or positions is None:
        return None
    norm = hidden * (2 if family.norm_bias else 1)
    output = 0 if tied else vocabulary * hidden
    output += vocabulary if family.head_bias else 0
    attention = _attention(text, family, hidden, heads)
    inner = layers * (attention + family.norms * norm) + feed_forward
    return (vocabulary + positions) * hidden + inner + norm + output


def _attention(text: Config, family: Family, hidden: int, heads: int) -> int:
    if (rank := size_of(text, "kv_lora_rank")) is not None:
        return _latent_attention(text, hidden, heads, rank)
    width = size_of(text, "head_dim") or hidden // heads
    groups = size_of(text, "num_key_value_heads") or heads
    made, taken = (heads + 2 * groups) * width, heads * width
    norms = {"none": 0, "head": 2 * width, "full": (heads + groups) * width}[family.key_norm]
    bias = made if _is_on(family.attention_bias, text) else 0
    bias += hidden if _is_on(family.output_bias, text) else 0
    return hidden * (made + taken) + norms + bias


def _latent_attention(text: Config, hidden: int, heads: int, rank: int) -> int:
    """DeepSeek's: queries, keys and values pass through narrow layers, each with its norm."""
    plain = size_of(text, "qk_nope_head_dim") or 0
    turned = size_of(text, "qk_rope_head_dim") or 0
    value = size_of(text, "v_head_dim") or 0
    query_rank = size_of(text, "q_lora_rank")
    queries = heads * (plain + turned)
    made = (hidden + queries + 1) * query_rank if query_rank else hidden * queries
    kept = hidden * (rank + turned) + rank + rank * heads * (plain + value)
    return made + kept + heads * value * hidden


def _feed_forward(text: Config, family: Family, hidden: int, layers: int) -> int | None:
    """Of all layers together: some of them may be mixtures of experts."""
    width = size_of(text, "intermediate_size", "n_inner")
    if width is None:
        width = 4 * hidden if "n_embd" in text else None  # what GPT-2 means by null
    count = size_of(text, *_EXPERTS)
    expert_width = size_of(text, "moe_intermediate_size") or width
    if width is None or expert_width is None:
        return None
    dense = _mlp(text, family, hidden, width)
    if count is None:
        return layers * dense
    mixture = count * (_mlp(text, family, hidden, expert_width) + hidden)
    if shared := size_of(text, "shared_expert_intermediate_size"):
        mixture += _mlp(text, family, hidden, shared) + hidden
    if shared := size_of(text, "n_shared_experts"):
        mixture += _mlp(text, family, hidden, shared * expert_width)
    sparse = _sparse_layers(text, layers)
    return sparse * mixture + (layers - sparse) * dense


def _mlp(text: Config, family: Family, hidden: int, width: int) -> int:
    into = 2 if family.gated else 1
    bias = into * width + hidden if _is_on(family.mlp_bias, text) else 0
    return (into + 1) * hidden * width + bias


def _sparse_layers(text: Config, layers: int) -> int:
    """How many layers are mixtures: every `decoder_sparse_step`-th, with exceptions."""
    step = size_of(text, "decoder_sparse_step") or 1
    first = min(size_of(text, "first_k_dense_replace") or 0, layers)
    named = text.get("mlp_only_layers")
    dense = {at for at in named if type(at) is int} if isinstance(named, list) else set()
    taken = sum(1 for at in dense if 0 <= at < layers and (at + 1) % step == 0)
    return max(0, layers // step - first - taken)


def _is_on(switch: Switch, text: Config) -> bool:
    return switch if isinstance(switch, bool) else text.get(switch) is True


def _gemma3_vision(config: Config, vision: object) -> int | None:
    """SigLIP's tower, and the projector of Gemma 3 behind it."""
    if not isinstance(vision, Mapping):
        return None
    width, inner = size_of(vision, "hidden_size"), size_of(vision, "intermediate_size")
    layers, patch = size_of(vision, "num_hidden_layers"), size_of(vision, "patch_size")
    image, text_width = size_of(vision, "image_size"), size_of(text_part(config), "hidden_size")
    if None in (width, inner, layers, patch, image, text_width):
        return None
    assert width and inner and layers and patch and image and text_width
    embedding = (3 * patch**2 + 1 + (image // patch) ** 2) * width
    layer = 4 * (width + 1) * width + 2 * width * inner + inner + width + 4 * width
    return embedding + layers * layer + 2 * width + width * text_width + width
