"""Tensor names of model families in GGUF and in Hugging Face's transformers.

What llama.cpp's converter does to the numbers on the way (conversion/{llama,qwen,gemma,phi}.py)
is written down in `Place`.

Experts get one tensor each, as transformers 4 named them, although transformers 5 keeps them
fused: 5.23 still writes and loads this layout (its conversion_mapping.py), and it is the only
one of the two that mlx-lm 0.32's `sanitize` knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import OTHER_PUBLICATION, ToolError
from .. import families
from .tables import ATTENTION, MLP, NAMINGS, QK_NORM, Naming


@dataclass(frozen=True, slots=True)
class Place:
    """Where one GGUF tensor belongs, and what was done to its numbers.

    `names` is one Hugging Face name, or the names of all experts in the order of the first axis;
    `stacked` is then mlx-lm's name for the whole, otherwise None. `heads` is None, or for how
    many heads the rows are in llama.cpp's order (`packing/rows.py`). `offset` is what was added.
    """

    names: tuple[str, ...]
    stacked: str | None = None
    heads: int | None = None
    offset: float = 0.0


_GLOBAL = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_NAME = re.compile(r"(?:blk\.(?P<layer>\d+)\.)?(?P<stem>\w+)\.(?P<kind>weight|bias)")
_MLX_EXPERTS = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}


def naming_of(config: Mapping[str, Any]) -> Naming:
    """The names in the model of a config.json. Raises ToolError when its type is not known."""
    name = str(config.get("model_type"))
    if name not in NAMINGS:
        raise ToolError(
            f"models of type `{name}` are not supported", hint=f"supported: {', '.join(NAMINGS)}"
        )
    return NAMINGS[name]


def place(config: Mapping[str, Any], gguf_name: str) -> Place:
    """Where a tensor of a GGUF belongs in the model that `config` (a config.json) describes.

    Raises ToolError for a name that the family does not have. ROPE_TENSORS have no place.
    """
    naming = naming_of(config)
    match = _NAME.fullmatch(gguf_name)
    layer = match["layer"] if match else None
    stems = _GLOBAL if layer is None else naming.layer
    if not match or match["stem"] not in stems:
        raise ToolError(
            f"`{gguf_name}` is not a tensor of a {naming.model_type}", hint=OTHER_PUBLICATION
        )
    stem, ending = stems[match["stem"]], f".{match['kind']}"
    prefix = "" if layer is None else f"model.layers.{layer}."
    offset = naming.norm_offset if match["stem"].endswith("norm") else 0.0
    if "{expert}" not in stem:
        return Place((prefix + stem + ending,), None, _permuted_heads(config, stem), offset)
    experts = range(_expert_count(config))
    block, matrix = stem.split(".experts.{expert}.")
    stacked = f"{prefix}{block}.switch_mlp.{_MLX_EXPERTS.get(matrix, matrix)}{ending}"
    return Place(tuple(prefix + stem.format(expert=i) + ending for i in experts), stacked)


def tensors_expected(config: Mapping[str, Any]) -> frozenset[str]:
    """The Hugging Face name of each tensor that a model with this config.json must have.

    transformers fills what is missing with random numbers and only warns, so compare with this.
    A tied lm_head is not among them. Raises ToolError when the type of the model is not known,
    or the config does not say how many layers or experts there are.
    """
    stems = naming_of(config).layer
    names = {"model.embed_tokens.weight", "model.norm.weight"}
    if not families.is_tied(config):
        names.add("lm_head.weight")
    for layer in range(_count(config, "num_hidden_layers")):
        names.update(f"model.layers.{layer}.{name}" for name in _in_layer(config, stems, layer))
    return frozenset(names)


def _in_layer(config: Mapping[str, Any], stems: Mapping[str, str], layer: int) -> Iterator[str]:
    if _is_dense_layer_of_qwen3_moe(config, layer):
        stems = {**ATTENTION, **QK_NORM, **MLP}
    biased = _biased(config)
    for stem in stems.values():
        if "{expert}" in stem:
            for expert in range(_expert_count(config)):
                yield f"{stem.format(expert=expert)}.weight"
            continue
        yield f"{stem}.weight"
        if stem in biased:
            yield f"{stem}.bias"


def _biased(config: Mapping[str, Any]) -> frozenset[str]:
    family = families.family_of(config) or families.Family()
    switches = {
        "self_attn.q_proj": family.attention_bias,
        "self_attn.k_proj": family.attention_bias,
        "self_attn.v_proj": family.attention_bias,
        "self_attn.o_proj": family.output_bias,
        **dict.fromkeys(MLP.values(), family.mlp_bias),
    }
    return frozenset(
        stem
        for stem, switch in switches.items()
        if (config.get(switch) if isinstance(switch, str) else switch)
    )


def _is_dense_layer_of_qwen3_moe(config: Mapping[str, Any], layer: int) -> bool:
    return config["model_type"] == "qwen3_moe" and (
        layer in (config.get("mlp_only_layers") or ())
        or (layer + 1) % config.get("decoder_sparse_step", 1) != 0
    )


def _expert_count(config: Mapping[str, Any]) -> int:
    # transformers 5 writes `num_local_experts` for qwen3_moe too, earlier versions `num_experts`.
    return _count(config, "num_local_experts", "num_experts")


def _count(config: Mapping[str, Any], *keys: str) -> int:
    count = families.size_of(config, *keys)
    if count is None:
        raise ToolError(
            f"config.json has no usable `{keys[0]}`",
            hint="compare config.json with the one that was published",
        )
    return count


def _permuted_heads(config: Mapping[str, Any], stem: str) -> int | None:
    if not naming_of(config).is_permuted:
        return None
    heads = {
        "self_attn.q_proj": "num_attention_heads",
        "self_attn.k_proj": "num_key_value_heads",
    }
    return _count(config, heads[stem]) if stem in heads else None
