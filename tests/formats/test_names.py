"""Names and settings of models, GGUF to Hugging Face: tables, rope, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexbuild.errors import ToolError
from cortexbuild.formats.names.config import config_from_gguf
from cortexbuild.formats.names.metadata import Metadata, shortest
from cortexbuild.formats.names.rope import llama3_divisors
from cortexbuild.formats.names.tables import NAMINGS
from cortexbuild.formats.names.tensors import Place, place, tensors_expected


def config(model_type, **more):
    common = {"num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2}
    return {"model_type": model_type, "tie_word_embeddings": True, **common, **more}


LAYER = "model.layers.7."
EXPERTS = {"num_local_experts": 2}


@pytest.mark.parametrize(
    ("model", "gguf_name", "expected"),
    [
        (config("llama"), "token_embd.weight", Place(("model.embed_tokens.weight",))),
        (config("llama"), "output.weight", Place(("lm_head.weight",))),
        (
            config("llama"),
            "blk.7.attn_q.weight",
            Place((LAYER + "self_attn.q_proj.weight",), heads=4),
        ),
        (config("llama"), "blk.7.attn_k.bias", Place((LAYER + "self_attn.k_proj.bias",), heads=2)),
        (config("llama"), "blk.7.attn_v.weight", Place((LAYER + "self_attn.v_proj.weight",))),
        (config("qwen2"), "blk.7.attn_q.weight", Place((LAYER + "self_attn.q_proj.weight",))),
        (config("qwen3"), "blk.7.attn_q_norm.weight", Place((LAYER + "self_attn.q_norm.weight",))),
        (config("phi3"), "blk.7.ffn_up.weight", Place((LAYER + "mlp.gate_up_proj.weight",))),
        (config("phi3"), "blk.7.attn_qkv.weight", Place((LAYER + "self_attn.qkv_proj.weight",))),
        (
            config("gemma3_text"),
            "blk.7.ffn_norm.weight",
            Place((LAYER + "pre_feedforward_layernorm.weight",), offset=1.0),
        ),
        (config("gemma3_text"), "output_norm.weight", Place(("model.norm.weight",), offset=1.0)),
        (config("gemma3_text"), "blk.7.ffn_up.weight", Place((LAYER + "mlp.up_proj.weight",))),
        (
            config("mixtral", **EXPERTS),
            "blk.7.ffn_down_exps.weight",
            Place(
                tuple(LAYER + f"block_sparse_moe.experts.{e}.w2.weight" for e in (0, 1)),
                LAYER + "block_sparse_moe.switch_mlp.down_proj.weight",
            ),
        ),
        (
            config("qwen3_moe", num_experts=2),
            "blk.7.ffn_gate_exps.weight",
            Place(
                tuple(LAYER + f"mlp.experts.{e}.gate_proj.weight" for e in (0, 1)),
                LAYER + "mlp.switch_mlp.gate_proj.weight",
            ),
        ),
    ],
)
def test_a_gguf_tensor_has_its_place(model, gguf_name, expected):
    assert place(model, gguf_name) == expected


@pytest.mark.parametrize(
    "gguf_name", ["blk.0.attn_qkv.weight", "blk.0.ffn_gate_exps.weight", "rope_freqs.weight", "x"]
)
def test_a_tensor_that_a_llama_does_not_have_is_refused(gguf_name):
    with pytest.raises(ToolError) as caught:
        place(config("llama"), gguf_name)
    assert str(caught.value) == f"`{gguf_name}` is not a tensor of a llama"


def test_an_unknown_family_is_refused_by_name():
    with pytest.raises(ToolError) as caught:
        tensors_expected({"model_type": "mamba"})
    assert str(caught.value) == "models of type `mamba` are not supported"
    assert caught.value.hint == f"supported: {', '.join(NAMINGS)}"


def in_one_layer(model):
    names = tensors_expected(model) - {"model.embed_tokens.weight", "model.norm.weight"}
    return sorted(name.removeprefix("model.layers.0.") for name in names)


def test_a_phi3_must_have_these_tensors():
    assert in_one_layer(config("phi3")) == [
        "input_layernorm.weight",
        "mlp.down_proj.weight",
        "mlp.gate_up_proj.weight",
        "post_attention_layernorm.weight",
        "self_attn.o_proj.weight",
        "self_attn.qkv_proj.weight",
    ]


def test_lm_head_is_expected_when_it_is_not_tied():
    assert "lm_head.weight" not in tensors_expected(config("llama"))
    assert "lm_head.weight" in tensors_expected(config("llama", tie_word_embeddings=False))
    silent = config("gemma3_text")
    del silent["tie_word_embeddings"]
    assert "lm_head.weight" not in tensors_expected(silent)
    assert "lm_head.weight" in tensors_expected({**silent, "model_type": "llama"})


@pytest.mark.parametrize(
    ("model", "biased"),
    [
        (config("llama"), ""),
        (config("llama", attention_bias=True), "qkvo"),
        (config("llama", mlp_bias=True), "gate up down"),
        (config("qwen2"), "qkv"),
        (config("qwen3", attention_bias=True), "qkvo"),
        (config("mistral", attention_bias=True), ""),
    ],
)
def test_biases_are_expected_where_the_family_has_them(model, biased):
    stems = {
        "": set(),
        "qkv": {f"self_attn.{x}_proj.bias" for x in "qkv"},
        "qkvo": {f"self_attn.{x}_proj.bias" for x in "qkvo"},
        "gate up down": {f"mlp.{x}_proj.bias" for x in ("gate", "up", "down")},
    }[biased]
    assert {name for name in in_one_layer(model) if name.endswith("bias")} == stems


def test_a_qwen3_moe_may_have_dense_layers():
    model = config("qwen3_moe", num_experts=2, num_hidden_layers=3, mlp_only_layers=[1])
    names = tensors_expected({**model, "decoder_sparse_step": 1})
    assert "model.layers.1.mlp.gate_proj.weight" in names
    assert "model.layers.1.mlp.gate.weight" not in names
    assert "model.layers.2.mlp.experts.1.up_proj.weight" in names
    every_second = tensors_expected({**model, "mlp_only_layers": None, "decoder_sparse_step": 2})
    assert "model.layers.0.mlp.gate_proj.weight" in every_second
    assert "model.layers.1.mlp.gate.weight" in every_second


# -- config.json


def fields(architecture="llama", **more):
    """A small model's keys; those in `more` have `__` for a dot, and None removes one."""
    keys = {
        "block_count": 2,
        "context_length": 512,
        "embedding_length": 128,
        "feed_forward_length": 256,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.layer_norm_rms_epsilon": float(np.float32(1e-6)),
        "rope.freq_base": 500000.0,
    }
    keys |= {key.replace("__", "."): value for key, value in more.items()}
    kept = {f"{architecture}.{key}": value for key, value in keys.items() if value is not None}
    return {"general.architecture": architecture, **kept}


SHAPES = {"token_embd.weight": (1000, 128), "output.weight": (1000, 128)}


def test_the_config_of_a_llama_in_full():
    tokens = {f"tokenizer.ggml.{name}_token_id": i for i, name in enumerate(("bos", "eos"))}
    found = config_from_gguf({**fields(vocab_size=1024), **tokens}, SHAPES, {})
    assert found == {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 1000,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "hidden_act": "silu",
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-06,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": None,
        "rope_theta": 500000.0,
        "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"},
        "attention_bias": False,
        "mlp_bias": False,
    }


def test_a_missing_output_is_tied_and_an_end_of_turn_ends_too():
    shapes = {"token_embd.weight": (1000, 128), "blk.0.attn_q.bias": (128,)}
    tokens = {"tokenizer.ggml.eos_token_id": 5, "tokenizer.ggml.eot_token_id": 7}
    found = config_from_gguf({**fields(), **tokens}, shapes, {})
    assert found["tie_word_embeddings"] is True
    assert found["attention_bias"] is True
    assert found["eos_token_id"] == [5, 7]


@pytest.mark.parametrize(
    ("more", "model_type"),
    [
        ({"attention__sliding_window": 4096}, "mistral"),
        ({"attention__sliding_window": 0}, "llama"),
        ({"expert_count": 0}, "llama"),
        ({"expert_count": 4, "expert_used_count": 2}, "mixtral"),
    ],
)
def test_the_llama_architecture_is_three_families(more, model_type):
    found = config_from_gguf(fields(**more), SHAPES, {})
    assert found["model_type"] == model_type
    assert found.get("num_local_experts") == (4 if model_type == "mixtral" else None)
    assert found.get("sliding_window") == (4096 if model_type == "mistral" else None)


def test_numbers_per_layer_count_as_one_when_they_are_equal():
    found = config_from_gguf(fields(attention__head_count_kv=(2, 2)), SHAPES, {})
    assert found["num_key_value_heads"] == 2
    with pytest.raises(ToolError, match=r"`llama.attention.head_count_kv` is \(2, 4\), not one"):
        config_from_gguf(fields(attention__head_count_kv=(2, 4)), SHAPES, {})


def test_phi3_rotates_a_part_and_has_two_lists_of_factors():
    factors = {
        "rope_factors_long.weight": np.linspace(1, 40, 12, dtype=np.float32),
        "rope_factors_short.weight": np.full(12, 1.1, np.float32),
    }
    more = {"rope__dimension_count": 24, "rope__scaling__original_context_length": 64}
    found = config_from_gguf(fields("phi3", **more), SHAPES, factors)
    assert found["partial_rotary_factor"] == 0.75
    assert found["original_max_position_embeddings"] == 64
    rope = found["rope_parameters"]
    assert rope["short_factor"] == [1.1] * 12
    assert np.array_equal(np.float32(rope["long_factor"]), factors["rope_factors_long.weight"])
    assert found["rope_scaling"]["type"] == "longrope"


def test_gemma3_has_two_kinds_of_layers_with_their_own_rope():
    more = {
        "attention__sliding_window": 16,
        "rope__scaling__type": "linear",
        "rope__scaling__factor": 8.0,
        "block_count": 7,
    }
    found = config_from_gguf(fields("gemma3", **more), SHAPES, {})
    assert found["sliding_window_pattern"] == 6
    assert found["layer_types"].index("full_attention") == 5
    assert found["layer_types"].count("sliding_attention") == 6
    assert found["rope_local_base_freq"] == 10000.0
    assert found["rope_parameters"] == {
        "full_attention": {"rope_theta": 500000.0, "rope_type": "linear", "factor": 8.0},
        "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
    }
    assert found["query_pre_attn_scalar"] == 32
    largest = {
        **more,
        "block_count": 62,
        "attention__key_length": 64,
        "attention__value_length": 64,
    }
    found = config_from_gguf(fields("gemma3", **largest), SHAPES, {})
    assert (found["head_dim"], found["query_pre_attn_scalar"]) == (64, 32)


def test_yarn_and_old_linear_scaling():
    yarn = {
        "rope__scaling__type": "yarn",
        "rope__scaling__factor": 4.0,
        "rope__scaling__original_context_length": 128,
        "rope__scaling__yarn_beta_fast": 16.0,
    }
    assert config_from_gguf(fields("qwen2", **yarn), SHAPES, {})["rope_parameters"] == {
        "rope_theta": 500000.0,
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 128,
        "beta_fast": 16.0,
    }
    old = config_from_gguf(fields(rope__scale_linear=2.0), SHAPES, {})
    assert old["rope_scaling"] == {"rope_type": "linear", "factor": 2.0, "type": "linear"}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (fields("bert"), "GGUF files of architecture `bert` are not supported"),
        ({}, "the GGUF file does not say its `general.architecture`"),
        (
            {**fields(), "general.type": "adapter"},
            "the GGUF file is not a model but `adapter`",
        ),
        (fields(block_count=None), "the GGUF file does not say its `llama.block_count`"),
        (fields(attention__head_count=0), "`llama.attention.head_count` is 0"),
        (
            fields(logit_scale=0.5),
            "`llama.logit_scale` is not understood, and may change what the model computes",
        ),
        (
            fields("qwen2", attention__sliding_window=64),
            "`qwen2.attention.sliding_window` is not understood, "
            "and may change what the model computes",
        ),
        (
            fields(attention__key_length=64, attention__value_length=32),
            "keys and values of different lengths are not supported",
        ),
        (
            fields("qwen2", attention__key_length=64, attention__value_length=64),
            "a qwen2 with 4 heads of 64 is not 128 wide",
        ),
        (fields(rope__dimension_count=16), "rotating 16 of 32 is not supported for llama"),
        (
            fields(rope__scaling__type="longrope"),
            "rope scaling of type 'longrope' with factor None is not supported",
        ),
        (
            fields("qwen3moe", rope__scaling__type="linear", rope__scaling__factor=2.0),
            "rope scaling of type `linear` is not supported for qwen3_moe",
        ),
    ],
)
def test_what_is_not_understood_is_refused(found, message):
    with pytest.raises(ToolError) as caught:
        config_from_gguf(found, SHAPES, {})
    assert str(caught.value) == message


def test_a_longrope_factor_that_mlx_would_not_compute_is_refused():
    factors = {"rope_factors_long.weight": np.ones(16), "rope_factors_short.weight": np.ones(16)}
    original = {"rope__scaling__original_context_length": 64}
    usual = math.sqrt(1 + math.log(512 / 64) / math.log(64))
    more = {**original, "rope__scaling__attn_factor": usual}
    config_from_gguf(fields("phi3", **more), SHAPES, factors)
    more["rope__scaling__attn_factor"] = 1.5
    with pytest.raises(ToolError, match="a longrope attention factor of 1.5 is not supported"):
        config_from_gguf(fields("phi3", **more), SHAPES, factors)


# -- Llama 3's rope, which GGUF keeps as one divisor per frequency


def divisors_by_hand(theta, head_dim, factor, band, original):
    """As llama.cpp's converter computes them, one frequency at a time."""
    low, high = band
    divisors = []
    for i in range(0, head_dim, 2):
        length = 2 * math.pi * theta ** (i / head_dim)
        if length < original / high:
            divisors.append(1.0)
        elif length > original / low:
            divisors.append(factor)
        else:
            smooth = (original / length - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors, np.float32)


@pytest.mark.parametrize("factor", [8.0, 32.0])
@pytest.mark.parametrize("head_dim", [64, 128])
def test_the_numbers_of_metas_llama_3_models_are_found_again(factor, head_dim):
    factors = divisors_by_hand(500000.0, head_dim, factor, (1.0, 4.0), 8192)
    size = {"embedding_length": 4 * head_dim}
    found = config_from_gguf(fields(**size), SHAPES, {"rope_freqs.weight": factors})
    assert found["rope_scaling"] == {
        "rope_type": "llama3",
        "type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([1e4, 5e5]),
    st.sampled_from([2.0, 8.0, 12.5]),
    st.sampled_from([2.0, 4.0, 8.0]),
    st.sampled_from([1024, 2048, 8192]),
    st.sampled_from([1.0, 2.0]),
)
def test_other_numbers_are_found_in_their_simplest_form(theta, factor, high, original, low):
    factors = divisors_by_hand(theta, 128, factor, (low, high * low), original)
    more = {"embedding_length": 512, "rope__freq_base": theta}
    rope = config_from_gguf(fields(**more), SHAPES, {"rope_freqs.weight": factors})
    scaling = rope["rope_parameters"]
    lengths = 2 * math.pi * theta ** (np.arange(0, 128, 2) / 128)
    assert np.allclose(llama3_divisors(scaling, lengths), factors, rtol=1e-5)
    assert scaling["original_max_position_embeddings"] == original / low
    assert scaling["high_freq_factor"] == pytest.approx(high, rel=1e-3)


@pytest.mark.parametrize("factors", [np.linspace(1, 8, 16), np.ones(8)])
def test_factors_of_another_rule_are_refused(factors):
    with pytest.raises(ToolError, match="rope factors"):
        config_from_gguf(fields(), SHAPES, {"rope_freqs.weight": factors.astype(np.float32)})


def test_a_float32_is_written_with_as_few_digits_as_mean_it():
    assert shortest(np.float32(1e-5)) == 1e-5
    assert shortest(float(np.float32(0.1))) == 0.1
    assert Metadata(fields(rope__freq_base=True)).architecture == "llama"
    with pytest.raises(ToolError, match="is True, not a number"):
        Metadata(fields(rope__freq_base=True)).find_number("rope.freq_base")
