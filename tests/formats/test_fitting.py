"""How many bytes the weights may take of a memory."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cortexbuild.errors import ToolError
from cortexbuild.formats.config import OVERHEAD_BYTES
from cortexbuild.formats.fitting import FitParams, predicted_bytes, weight_budget

LLAMA_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
GEMMA = {
    **LLAMA_8B,
    "layer_types": ["sliding_attention"] * 24 + ["full_attention"] * 8,
    "sliding_window": 512,
}
MEMORY = 8 * 2**30
CACHE = 2 * 32 * 8 * 128 * 4096 * 2  # keys and values of 8 heads in each layer, 2 bytes each


@pytest.mark.parametrize(
    "kv, cache", [("f16", CACHE), ("q8", CACHE * 17 // 32), ("q4", CACHE * 9 // 32)]
)
def test_the_cache_and_what_running_takes_are_taken_off(kv, cache):
    left = weight_budget(FitParams(memory=MEMORY, context=4096, kv=kv), LLAMA_8B, 8 * 10**9)
    assert left == MEMORY - cache - OVERHEAD_BYTES


def test_layers_with_a_window_keep_no_more_than_that():
    left = weight_budget(FitParams(memory=MEMORY), GEMMA, 8 * 10**9)
    assert left == MEMORY - OVERHEAD_BYTES - CACHE // 4 - CACHE * 3 // 4 // 8


def test_bits_are_of_the_file_and_need_no_config():
    assert weight_budget(FitParams(bits=4.5), {}, 1000) == 562
    assert predicted_bytes(FitParams(bits=4.5), 16000) == 4500


def test_too_little_memory_is_told_with_the_numbers():
    with pytest.raises(ToolError, match=f"takes {CACHE} .f16., and running takes {OVERHEAD_BYTES}"):
        weight_budget(FitParams(memory=OVERHEAD_BYTES + CACHE), LLAMA_8B, 8 * 10**9)


def test_one_of_the_two_is_needed():
    with pytest.raises(ToolError, match="nothing says"):
        weight_budget(FitParams(), LLAMA_8B, 8 * 10**9)
    with pytest.raises(ValidationError, match="not both"):
        FitParams(memory=MEMORY, bits=4)


def test_a_config_that_does_not_tell_is_refused():
    with pytest.raises(ToolError, match="does not tell how large the KV cache is"):
        weight_budget(FitParams(memory=MEMORY), {"model_type": "odd"}, 8 * 10**9)


def test_settings_come_back_from_a_key():
    params = FitParams(bits=4.5, kv="q8")
    assert params.plain()["bits"] == "4.5"
    assert FitParams.from_plain(params.plain()) == params
