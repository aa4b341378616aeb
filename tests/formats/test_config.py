from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexbuild.errors import ToolError
from cortexbuild.formats.config import (
    OVERHEAD_BYTES,
    bridge,
    context_length,
    kv_cache_bytes,
    memory_to_run,
    parameters,
)
from cortexbuild.formats.families import FAMILIES

Config = dict[str, Any]
EXAMPLE = Path(__file__).parents[2] / "examples/models/stdlib-llama-6m/config.json"

SHAPE: Config = {
    "vocab_size": 331,
    "hidden_size": 96,
    "intermediate_size": 208,
    "num_hidden_layers": 5,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2: Config = {"vocab_size": 331, "n_embd": 96, "n_layer": 5, "n_head": 6, "n_positions": 64}
GPT2 |= {"bos_token_id": 1, "eos_token_id": 2}
WIDE = {"head_dim": 24}
EXPERTS = {"num_experts": 6, "moe_intermediate_size": 40}
LATENT = {"kv_lora_rank": 32, "q_lora_rank": 48, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8}
OWN: Mapping[str, Config] = {
    "llama": {**SHAPE, "attention_bias": True, "mlp_bias": True},
    "mistral": {**SHAPE, **WIDE},
    "ministral3": {**SHAPE, **WIDE, "rope_parameters": {"rope_type": "default"}},
    "mixtral": {**SHAPE, "num_local_experts": 4},
    "qwen2_moe": {**SHAPE, **EXPERTS, "shared_expert_intermediate_size": 56},
    "qwen3": {**SHAPE, **WIDE},
    "qwen3_moe": {**SHAPE, **EXPERTS, "decoder_sparse_step": 2, "mlp_only_layers": [3]},
    "gemma": {**SHAPE, **WIDE},
    "gemma2": {**SHAPE, **WIDE},
    "gemma3_text": {**SHAPE, **WIDE},
    "glm4": {**SHAPE, **WIDE},
    "gpt2": GPT2,
    "gpt_neox": {key: value for key, value in SHAPE.items() if key != "num_key_value_heads"},
    "olmoe": {**SHAPE, "num_experts": 6},
    "deepseek_v3": {
        **SHAPE,
        **LATENT,
        "v_head_dim": 24,
        "num_key_value_heads": 6,
        "n_routed_experts": 8,
        "n_shared_experts": 2,
        "moe_intermediate_size": 40,
        "first_k_dense_replace": 2,
        "n_group": 2,
        "topk_group": 1,
        "num_experts_per_tok": 2,
    },
}
EYES = {
    "model_type": "siglip_vision_model",
    "hidden_size": 96,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "patch_size": 14,
    "image_size": 56,
    "vision_use_head": False,
}


@pytest.fixture(scope="module")
def written() -> Callable[..., Config]:
    """The config.json that transformers writes for a model type."""
    transformers = pytest.importorskip("transformers")

    def write(kind: str, **given: Any) -> Config:
        made = transformers.AutoConfig.for_model(kind, **given)
        config: Config = json.loads(made.to_json_string())
        return config

    return write


@pytest.fixture(scope="module")
def truth() -> Callable[[Config], int]:
    """How many parameters the model of a config has, built without memory."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")

    def count(config: Config) -> int:
        made = transformers.AutoConfig.for_model(**config)
        name = "AutoModelForImageTextToText" if "vision_config" in config else None
        kind = getattr(transformers, name or "AutoModelForCausalLM")
        with torch.device("meta"):
            counted: int = kind.from_config(made).num_parameters()
        return counted

    return count


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", FAMILIES)
def test_s11_parameters_are_exact_for_every_family(
    kind: str, tied: bool, written: Callable[..., Config], truth: Callable[[Config], int]
) -> None:
    config = written(kind, **OWN.get(kind, SHAPE), tie_word_embeddings=tied)
    assert parameters(config) == truth(config)


def test_s11_parameters_are_exact_for_a_nested_config_with_eyes(
    written: Callable[..., Config], truth: Callable[[Config], int]
) -> None:
    text = {**SHAPE, **WIDE, "num_hidden_layers": 7}
    config = written("gemma3", text_config=text, vision_config=EYES)
    assert parameters(config) == truth(config)


PUBLISHED = {
    "Llama-3.1-8B": (
        {
            "model_type": "llama",
            "vocab_size": 128256,
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "tie_word_embeddings": False,
        },
        8_030_261_248,
    ),
    "Qwen3-8B": (
        {
            "model_type": "qwen3",
            "vocab_size": 151936,
            "hidden_size": 4096,
            "intermediate_size": 12288,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "tie_word_embeddings": False,
        },
        8_190_735_360,
    ),
    "Mixtral-8x7B": (
        {
            "model_type": "mixtral",
            "vocab_size": 32000,
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "num_local_experts": 8,
            "tie_word_embeddings": False,
        },
        46_702_792_704,
    ),
    "gemma-3-4b, which leaves out what are defaults": (
        {
            "model_type": "gemma3",
            "text_config": {
                "model_type": "gemma3_text",
                "hidden_size": 2560,
                "intermediate_size": 10240,
                "num_hidden_layers": 34,
                "sliding_window": 1024,
            },
            "vision_config": {
                "hidden_size": 1152,
                "intermediate_size": 4304,
                "num_hidden_layers": 27,
                "num_attention_heads": 16,
                "patch_size": 14,
                "image_size": 896,
            },
        },
        4_300_079_472,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_s11_published_models_have_their_published_size(name: str) -> None:
    config, published = PUBLISHED[name]
    assert parameters(config) == published


def test_the_example_has_its_exact_size() -> None:
    assert parameters(json.loads(EXAMPLE.read_text())) == 5_770_496


def test_a_declared_size_wins() -> None:
    assert parameters({"model_type": "llama", "num_parameters": 7}) == 7


def test_an_unknown_model_is_not_guessed_at() -> None:
    assert parameters({**SHAPE, "model_type": "brand_new"}) is None
    assert parameters({**SHAPE, "model_type": "llama", "vision_config": EYES}) is None
    assert parameters({**SHAPE, "model_type": "llama", "audio_config": {}}) is None
    assert parameters({}) is None


JUNK = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=4)
    | st.lists(st.integers(-2, 9) | st.text(max_size=3), max_size=4)
    | st.dictionaries(st.sampled_from(["full_attention", "rope_theta", "factor"]), st.floats())
)
KEYS = [
    *SHAPE,
    *LATENT,
    *("num_experts", "moe_intermediate_size", "decoder_sparse_step", "mlp_only_layers"),
    *("rope_parameters", "rope_scaling", "layer_types", "sliding_window", "text_config"),
    *("vision_config", "head_dim", "n_positions", "sliding_window_pattern", "num_parameters"),
]


@settings(deadline=1000, max_examples=400)
@given(st.sampled_from([*FAMILIES, "gemma3"]), st.dictionaries(st.sampled_from(KEYS), JUNK))
def test_a_hostile_config_gives_a_size_or_none_and_never_an_error(kind: str, junk: Config) -> None:
    config = {**SHAPE, "model_type": kind, **junk}
    assert (parameters(config) or 1) > 0
    assert (context_length(config) or 1) > 0
    assert (kv_cache_bytes(config, 100) or 0) >= 0


def scaled(length: int, **scaling: Any) -> Config:
    return {"model_type": "llama", "max_position_embeddings": length, "rope_scaling": scaling}


CONTEXTS: list[tuple[Config, int | None]] = [
    ({"max_position_embeddings": 8192}, 8192),
    ({"n_positions": 1024}, 1024),
    ({"max_seq_len": 2048}, 2048),
    ({"text_config": {"max_position_embeddings": 32768}}, 32768),
    ({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}}, 131072),
    ({"max_position_embeddings": None, "n_positions": 512}, 512),
    ({"max_position_embeddings": "many"}, None),
    ({}, None),
    (scaled(4096, rope_type="linear", factor=4.0), 16384),
    (scaled(4096, type="dynamic", factor=2), 8192),
    (scaled(32768, type="yarn", factor=4.0, original_max_position_embeddings=32768), 131072),
    (scaled(131072, rope_type="yarn", factor=32.0, original_max_position_embeddings=4096), 131072),
    (scaled(131072, rope_type="llama3", factor=8.0, original_max_position_embeddings=8192), 131072),
    (scaled(131072, type="longrope", long_factor=[1.0], short_factor=[1.0]), 131072),
    (scaled(4096, rope_type="linear", factor=float("nan")), 4096),
    (scaled(4096, rope_type="linear", factor="4"), 4096),
    (
        {
            "max_position_embeddings": 32768,
            "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0},
        },
        131072,
    ),
    (
        {
            "model_type": "gemma3_text",
            "max_position_embeddings": 131072,
            "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0}},
        },
        131072,
    ),
]


@pytest.mark.parametrize("config, expected", CONTEXTS)
def test_context_length_is_found_wherever_it_stands(config: Config, expected: int | None) -> None:
    assert context_length(config) == expected


def test_the_tokenizer_is_asked_for_the_context_last() -> None:
    assert context_length({}, {"model_max_length": 2048}) == 2048
    assert context_length({"n_positions": 512}, {"model_max_length": 2048}) == 512
    assert context_length({}, {"model_max_length": 10**30}) is None


def test_the_kv_cache_counts_groups_of_heads_and_their_width() -> None:
    assert kv_cache_bytes(PUBLISHED["Llama-3.1-8B"][0], 8192) == 2**30
    assert kv_cache_bytes({**SHAPE, "head_dim": 24}, 10) == 5 * 10 * 2 * 2 * 24 * 2
    assert (
        kv_cache_bytes({**SHAPE, "head_dim": 24}, 10, bytes_per_value=4) == 5 * 10 * 2 * 2 * 24 * 4
    )
    assert kv_cache_bytes(GPT2, 10) == 5 * 10 * 2 * 96 * 2
    assert kv_cache_bytes({**SHAPE, **LATENT}, 10) == 5 * 10 * (32 + 8) * 2
    assert kv_cache_bytes({}, 10) is None


def test_layers_with_a_window_keep_no_more_than_it() -> None:
    one = kv_cache_bytes({**SHAPE, "num_hidden_layers": 1}, 1)
    assert one
    layers = ["sliding_attention"] * 4 + ["full_attention"]
    windowed = {**SHAPE, "sliding_window": 16, "layer_types": layers}
    assert kv_cache_bytes(windowed, 100) == one * (4 * 16 + 100)
    assert kv_cache_bytes(windowed, 10) == one * 50
    assert kv_cache_bytes({**windowed, "sliding_window": None}, 100) == one * 500
    linear = {**SHAPE, "layer_types": ["linear_attention"] * 4 + ["full_attention"]}
    assert kv_cache_bytes(linear, 100) == one * 100
    old = {**SHAPE, "sliding_window": 16, "sliding_window_pattern": 5}
    assert kv_cache_bytes(old, 100) == one * (4 * 16 + 100)
    assert kv_cache_bytes({**SHAPE, "sliding_window": 16}, 100) == one * 500


def test_memory_to_run_is_weights_and_cache_and_overhead() -> None:
    config = PUBLISHED["Llama-3.1-8B"][0]
    assert memory_to_run(5 * 10**9, config, 8192) == 5 * 10**9 + 2**30 + OVERHEAD_BYTES
    assert memory_to_run(1, {}, 8192) is None


LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
FULL, SLIDING = "full_attention", "sliding_attention"
BY_LAYER = {
    SLIDING: {"rope_type": "default", "rope_theta": 10000.0},
    FULL: {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
}


def test_rope_parameters_become_what_mlx_lm_reads() -> None:
    config = {"model_type": "llama", "dtype": "bfloat16", "rope_parameters": LLAMA3}
    scaling = {key: value for key, value in LLAMA3.items() if key != "rope_theta"}
    assert bridge(config) == {
        "rope_theta": 500000.0,
        "rope_scaling": {**scaling, "type": "llama3"},
        "torch_dtype": "bfloat16",
    }


def test_plain_rope_has_a_theta_and_no_scaling() -> None:
    config = {"rope_parameters": {"rope_type": "default", "rope_theta": 7.0}}
    assert bridge(config) == {"rope_theta": 7.0}


def test_rope_by_layer_type_becomes_two_thetas() -> None:
    layers = [*[SLIDING] * 5, FULL, SLIDING]
    config = {"model_type": "gemma3_text", "rope_parameters": BY_LAYER, "layer_types": layers}
    assert bridge(config) == {
        "rope_theta": 1e6,
        "rope_local_base_freq": 10000.0,
        "rope_scaling": {"rope_type": "linear", "type": "linear", "factor": 8.0},
        "sliding_window_pattern": 6,
    }


def test_a_nested_config_is_given_back_whole() -> None:
    text = {"model_type": "gemma3_text", "hidden_size": 8, "rope_parameters": BY_LAYER}
    added = bridge({"model_type": "gemma3", "text_config": text, "dtype": "bfloat16"})
    assert set(added) == {"text_config", "torch_dtype"}
    assert added["text_config"]["hidden_size"] == 8
    assert added["text_config"]["rope_theta"] == 1e6


def test_only_what_is_absent_is_added() -> None:
    config = {
        "rope_parameters": {"rope_theta": 1.0, "partial_rotary_factor": 0.5},
        "rope_theta": 2.0,
        "dtype": "float16",
        "torch_dtype": None,
    }
    assert bridge(config) == {"partial_rotary_factor": 0.5, "torch_dtype": "float16"}
    assert bridge({"model_type": "llama", "rope_theta": 1.0, "rope_scaling": None}) == {}


def test_layers_that_mlx_lm_cannot_express_are_refused() -> None:
    config = {"model_type": "gemma3_text", "layer_types": [SLIDING, FULL, FULL, SLIDING]}
    with pytest.raises(ToolError, match="cannot express the `layer_types`"):
        bridge(config)
    assert bridge({**config, "model_type": "olmo3"}) == {}


@pytest.mark.parametrize("kind", [*FAMILIES, "gemma3", "cohere2", "stablelm", "mistral3"])
def test_bridging_twice_adds_nothing(kind: str, written: Callable[..., Config]) -> None:
    config = written(kind)
    added = bridge(config)
    assert bridge({**config, **added}) == {}
    assert all(config.get(key) is None for key in added if key != "text_config")


@settings(deadline=1000, max_examples=200)
@given(
    st.sampled_from(["llama", "qwen3_moe", "gpt_neox"]),
    st.dictionaries(st.sampled_from(KEYS), JUNK),
)
def test_bridging_anything_twice_adds_nothing(kind: str, junk: Config) -> None:
    config = {"model_type": kind, **junk}
    assert bridge({**config, **bridge(config)}) == {}


@pytest.mark.parametrize(
    "kind", ["llama", "qwen2", "qwen3_moe", "phi3", "mixtral", "gpt_neox", "gpt2", "gemma3_text"]
)
def test_mlx_lm_takes_theta_from_a_bridged_config(
    kind: str, written: Callable[..., Config]
) -> None:
    import importlib

    models = pytest.importorskip("mlx_lm.models")
    module = importlib.import_module(f"{models.__name__}.{kind}")
    config = written(kind)
    config.get("rope_parameters", {}).update({"rope_theta": 123456.0})
    if kind == "gemma3_text":
        config["rope_parameters"][FULL]["rope_theta"] = 123456.0
    read = module.ModelArgs.from_dict({**config, **bridge(config)})
    theta = getattr(read, "rope_theta", None) or getattr(read, "rotary_emb_base", None)
    assert theta == (None if kind == "gpt2" else 123456.0)
