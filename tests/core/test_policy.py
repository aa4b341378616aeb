from __future__ import annotations

import pytest

from cortexbuild.core.planning.policy import choose_integer, choose_mlx
from cortexbuild.errors import UsageError

B, M, GIB = 10**9, 10**6, 2**30


def mlx(parameters=None, name="x", default=None, explicit=None, optimization="balanced"):
    return choose_mlx(parameters, name, default, explicit, optimization)


@pytest.mark.parametrize(
    "parameters, recipe",
    [
        (0, "mlx-bf16"),
        (270 * M, "mlx-bf16"),
        (500 * M - 1, "mlx-bf16"),
        (500 * M, "mlx-8bit"),
        (B - 1, "mlx-8bit"),
        (B, "mlx-4bit"),
        (70 * B, "mlx-4bit"),
    ],
)
def test_measured_parameters_decide_whatever_the_name_says(parameters, recipe):
    for name in ("x", "llama-1b", "gemma-270m", "qwen-72b"):
        choice = mlx(parameters, name)
        assert (choice.recipe, choice.rule) == (recipe, "size")


@pytest.mark.parametrize(
    "name, recipe",
    [
        ("gemma-270m", "mlx-bf16"),
        ("OPT-350M", "mlx-bf16"),
        ("org/some_500m_it", "mlx-bf16"),
        ("llama-3.2-1B", "mlx-8bit"),
        ("gemma-2b-it", "mlx-8bit"),
        ("models/Qwen2.5-3B", "mlx-8bit"),
    ],
)
def test_without_parameters_a_size_in_the_name_decides(name, recipe):
    choice = mlx(name=name)
    assert (choice.recipe, choice.rule) == (recipe, "name")


@pytest.mark.parametrize(
    "name",
    [
        "gemma-12b", "qwen-32b", "qwen-72b", "llama-11b", "llama-13b", "tinyllama-1.1b",
        "org1bar", "qwen3-30b-a3b", "qwen2.5-0.5b", "gemma-1270m", "plain",
    ],
)  # fmt: skip
def test_a_size_within_another_word_is_no_hint(name):
    choice = mlx(name=name)
    assert (choice.recipe, choice.rule) == ("mlx-4bit", "unknown size")


def test_explicit_beats_default_beats_the_rules():
    assert mlx(270 * M, explicit="8bit", default="4bit").rule == "explicit"
    assert mlx(270 * M, explicit="8bit", default="4bit").recipe == "mlx-8bit"
    assert mlx(270 * M, default="4bit") == mlx(7 * B, default="4bit")
    assert mlx(270 * M, default="4bit").rule == "default"
    assert mlx(270 * M, explicit="none", optimization="maximum").recipe == "mlx-bf16"
    assert mlx(700 * M, default="Q8_0", optimization="maximum").recipe == "mlx-8bit"
    for word in ("auto", "AUTO", "", None):
        assert mlx(270 * M, explicit=word, default=word).rule == "size"
    assert mlx(explicit="auto", default="none").rule == "default"


@pytest.mark.parametrize(
    "word, recipe",
    [
        ("q4_k_m", "mlx-4bit"), ("Q5_K_M", "mlx-5bit"), ("Q6_K", "mlx-8bit"),
        ("Q8_0", "mlx-8bit"), ("4bit", "mlx-4bit"), ("5bit", "mlx-5bit"), ("8bit", "mlx-8bit"),
        ("mixed", "mlx-mixed-4-6"), ("none", "mlx-bf16"), ("mlx-3bit", "mlx-3bit"),
    ],
)  # fmt: skip
def test_the_words_of_cortex(word, recipe):
    assert mlx(explicit=word).recipe == recipe
    assert mlx(default=word).recipe == recipe


def test_an_unknown_word_is_an_error_with_a_suggestion():
    with pytest.raises(UsageError, match="`4bits` is no quantization") as caught:
        mlx(explicit="4bits")
    assert caught.value.hint == "did you mean `4bit`?"
    with pytest.raises(UsageError):
        mlx(7 * B, default="IQ2_XXS")


def test_maximum_takes_4_bits_for_what_would_be_quantized_at_all():
    assert mlx(270 * M, optimization="maximum").recipe == "mlx-bf16"
    middle = mlx(700 * M, optimization="maximum")
    assert (middle.recipe, middle.rule) == ("mlx-4bit", "maximum")
    assert "700 M" in middle.reason
    assert mlx(7 * B, optimization="maximum").rule == "size"
    assert mlx(name="gemma-2b", optimization="maximum").recipe == "mlx-4bit"
    assert mlx(name="gemma-270m", optimization="maximum").recipe == "mlx-bf16"


def test_the_reason_has_the_numbers():
    assert mlx(270 * M).reason == "it has 270 M parameters, fewer than 500 M"
    assert mlx(7_240_000_000).reason == "it has 7.2 B parameters, at least 1.0 B"
    assert "`2b`" in mlx(name="gemma-2b").reason


def integer(available_gib, *, parameters=7 * B, auto_quantize=True, weights=GIB):
    return choose_integer(weights, round(available_gib * GIB), parameters, auto_quantize)


@pytest.mark.parametrize(
    "available, recipe, rule",
    [
        (3.51, "safetensors", "16 bits"),
        (3.5, "safetensors", "16 bits"),
        (3.4, "int8", "int8"),
        (1.26, "int8", "int8"),
        (1.25, "int8", "int8"),
        (1.24, "int4", "int4"),
        (0.88, "int4", "int4"),
        (0.875, "int4", "int4"),
    ],
)
def test_boundaries_for_weights_of_one_gib(available, recipe, rule):
    choice = integer(available)
    assert (choice.recipe, choice.rule) == (recipe, rule)
    assert f"{available:.2f} GiB are available" in choice.reason


def test_one_byte_less_than_needed_does_not_fit():
    assert choose_integer(1000, 3500, None, True).recipe == "safetensors"
    assert choose_integer(1000, 3499, None, True).recipe == "int8"
    assert choose_integer(1000, 1249, None, True).recipe == "int4"
    with pytest.raises(UsageError):
        choose_integer(1000, 874, None, True)


def test_what_does_not_fit_in_int4_is_refused_with_the_numbers():
    with pytest.raises(UsageError) as caught:
        integer(0.86)
    said = str(caught.value)
    assert "1.00 GiB need 0.88 GiB (0.875 times as much), and 0.86 GiB are available" in said


def test_with_auto_quantize_off_nothing_is_quantized():
    assert integer(3.6, auto_quantize=False).rule == "16 bits"
    with pytest.raises(UsageError, match="`auto_quantize` is off") as caught:
        integer(3.4, auto_quantize=False)
    assert "3.50 GiB" in str(caught.value) and "3.40 GiB" in str(caught.value)


def test_a_small_model_gets_int8_or_nothing():
    small = {"parameters": 500 * M - 1}
    assert integer(3.6, **small).rule == "16 bits"
    assert integer(1.26, **small).rule == "int8"
    with pytest.raises(UsageError, match="INT4 costs a model of 500 M parameters too much"):
        integer(1.24, **small)
    with pytest.raises(UsageError, match="does not fit in INT4"):
        integer(0.86, **small)
    assert integer(1.24, parameters=500 * M).rule == "int4"
    assert integer(1.24, parameters=None).rule == "int4"
