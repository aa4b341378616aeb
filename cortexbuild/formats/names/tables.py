"""What transformers and GGUF call the parts of a model, family by family. Facts, and no code.

GGUF's names are those of `gguf.TENSOR_NAMES` (gguf-py's constants.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Naming:
    """What transformers calls a family, and the names within one of its layers.

    `layer` maps GGUF's stem to Hugging Face's, which has `{expert}` where GGUF stacks experts.
    """

    model_type: str
    architecture: str
    layer: Mapping[str, str]
    is_permuted: bool = False
    norm_offset: float = 0.0


ATTENTION = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
}
QK_NORM = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
MLP = {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
_MIXTRAL_MOE = {
    "ffn_gate_inp": "block_sparse_moe.gate",
    "ffn_gate_exps": "block_sparse_moe.experts.{expert}.w1",
    "ffn_down_exps": "block_sparse_moe.experts.{expert}.w2",
    "ffn_up_exps": "block_sparse_moe.experts.{expert}.w3",
}
_QWEN_MOE = {
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.{expert}.gate_proj",
    "ffn_down_exps": "mlp.experts.{expert}.down_proj",
    "ffn_up_exps": "mlp.experts.{expert}.up_proj",
}
_GEMMA_NORMS = {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
# Both sides keep q, k, v and gate, up in one matrix each, in the same order.
_PHI = {
    "attn_norm": "input_layernorm",
    "attn_qkv": "self_attn.qkv_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.gate_up_proj",
    "ffn_down": "mlp.down_proj",
}
_LLAMA = {**ATTENTION, **MLP}

NAMINGS: Mapping[str, Naming] = {
    naming.model_type: naming
    for naming in (
        Naming("llama", "LlamaForCausalLM", _LLAMA, is_permuted=True),
        Naming("mistral", "MistralForCausalLM", _LLAMA, is_permuted=True),
        Naming("mixtral", "MixtralForCausalLM", {**ATTENTION, **_MIXTRAL_MOE}, is_permuted=True),
        Naming("qwen2", "Qwen2ForCausalLM", _LLAMA),
        Naming("qwen3", "Qwen3ForCausalLM", {**_LLAMA, **QK_NORM}),
        Naming("qwen3_moe", "Qwen3MoeForCausalLM", {**ATTENTION, **QK_NORM, **_QWEN_MOE}),
        Naming("phi3", "Phi3ForCausalLM", _PHI),
        Naming(
            "gemma3_text",
            "Gemma3ForCausalLM",
            {**_LLAMA, **QK_NORM, **_GEMMA_NORMS},
            norm_offset=1.0,
        ),
    )
}
"""By `model_type` of config.json."""

ROPE_TENSORS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
"""GGUF tensors that become part of config.json (`rope.py`)."""
