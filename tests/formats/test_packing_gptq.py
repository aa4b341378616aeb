"""GPTQ and AWQ layers of random words, against loops written from the layouts' definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexbuild.errors import ToolError
from cortexbuild.formats.packing import mlx as packing_mlx
from cortexbuild.formats.packing.awq import read_awq
from cortexbuild.formats.packing.floats import smallest_exact
from cortexbuild.formats.packing.gptq import read_gptq
from cortexbuild.formats.packing.zeros import (
    consecutive_groups,
    dequantize,
    is_consecutive,
    to_affine,
)

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def random_words(random, shape):
    return random.integers(-(2**31), 2**31, shape).astype(np.int32)


def random_scales(random, shape):
    return (random.standard_normal(shape) * 2.0 ** random.integers(-12, 3, shape)).astype("f2")


def gptq_layer(seed, bits, columns=64, group_size=32, act_order=False):
    random = np.random.default_rng(seed)
    groups, outputs = -(-columns // group_size), 32
    layer = {
        "qweight": random_words(random, (columns * bits // 32, outputs)),
        "qzeros": random_words(random, (groups, outputs * bits // 32)),
        "scales": random_scales(random, (groups, outputs)),
    }
    if act_order:
        layer["g_idx"] = random.integers(0, groups, columns).astype(np.int32)
    return layer


def gptq_by_hand(layer, bits, group_size, minus_one):
    """The definition, one number at a time, in Python integers and float64."""
    groups, outputs = layer["scales"].shape
    columns = len(layer["qweight"]) * 32 // bits
    mask = 2**bits - 1
    numbers = np.empty((outputs, columns))
    for i in range(columns):
        group = int(layer["g_idx"][i]) if "g_idx" in layer else i // group_size
        for o in range(outputs):
            word = int(layer["qweight"][i * bits // 32, o]) % 2**32
            zero_word = int(layer["qzeros"][group, o * bits // 32]) % 2**32
            code = (word >> (i * bits % 32)) & mask
            zero = (zero_word >> (o * bits % 32)) & mask
            zero = (zero + 1) & mask if minus_one else zero
            numbers[o, i] = (code - zero) * float(layer["scales"][group, o])
    return numbers


@quick
@given(seeds, st.sampled_from([2, 4, 8]), st.booleans(), st.booleans())
def test_gptq_dequantizes_as_defined(seed, bits, act_order, minus_one):
    layer = gptq_layer(seed, bits, act_order=act_order)
    name = "gptq" if minus_one else "gptq_v2"
    matrix = read_gptq(layer, bits=bits, group_size=32, checkpoint_format=name)
    assert np.array_equal(dequantize(matrix), gptq_by_hand(layer, bits, 32, minus_one))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_kept_zero_of_all_ones_wraps_around_to_zero(bits):
    layer = gptq_layer(0, bits)
    layer["qzeros"][:] = -1
    assert not read_gptq(layer, bits=bits, group_size=32).zeros.any()
    kept = read_gptq(layer, bits=bits, group_size=32, checkpoint_format="gptq_v2").zeros
    assert (kept == 2**bits - 1).all()


def test_a_last_group_may_be_shorter_and_one_group_may_be_all():
    layer = gptq_layer(1, 4, columns=40, group_size=32)
    matrix = read_gptq(layer, bits=4, group_size=32)
    assert np.array_equal(dequantize(matrix), gptq_by_hand(layer, 4, 32, True))
    layer = gptq_layer(2, 4, columns=40, group_size=40)
    matrix = read_gptq(layer, bits=4, group_size=None)
    assert np.array_equal(dequantize(matrix), gptq_by_hand(layer, 4, 40, True))


@quick
@given(seeds, st.sampled_from([2, 4, 8]), st.sampled_from([32, 64, 128]))
def test_gptq_becomes_mlx_without_a_loss(seed, bits, group_size):
    layer = gptq_layer(seed, bits, columns=256, group_size=group_size)
    affine = to_affine(read_gptq(layer, bits=bits, group_size=group_size), group_size)
    assert affine.scales.dtype == np.float16
    assert affine.biases.dtype == np.float32
    expected = gptq_by_hand(layer, bits, group_size, True)
    assert np.array_equal(packing_mlx.dequantize(affine), expected)


def test_symmetric_4_bit_biases_are_exact_in_float16_and_others_need_float32():
    layer = gptq_layer(3, 4)
    layer["qzeros"][:] = 0x77777777  # 8, minus one
    affine = to_affine(read_gptq(layer, bits=4, group_size=32), 32)
    assert smallest_exact(affine.biases) == "float16"
    layer["qzeros"][:] = 0x66666666
    affine = to_affine(read_gptq(layer, bits=4, group_size=32), 32)
    assert smallest_exact(affine.biases) == "float32"


def test_act_order_is_known_and_cannot_be_repacked():
    layer = gptq_layer(4, 4, act_order=True)
    assert not is_consecutive(layer["g_idx"], 32)
    with pytest.raises(ToolError, match="act-order"):
        to_affine(read_gptq(layer, bits=4, group_size=32), 32)
    layer["g_idx"] = consecutive_groups(64, 32).astype(np.int32)
    assert is_consecutive(layer["g_idx"], 32)
    to_affine(read_gptq(layer, bits=4, group_size=32), 32)


def test_scales_of_full_float32_are_not_repacked():
    layer = gptq_layer(5, 4)
    layer["scales"] = layer["scales"].astype(np.float32) * np.float32(1.0000001)
    with pytest.raises(ToolError, match="cannot be repacked exactly"):
        to_affine(read_gptq(layer, bits=4, group_size=32), 32)


@pytest.mark.parametrize(
    ("change", "bits", "group_size", "message"),
    [
        ({}, 3, 32, "3-bit GPTQ is not supported: its codes cross words in an order of their own"),
        ({}, 5, 32, "GPTQ with 5 bits is not supported, only 2, 4 and 8"),
        ({"qzeros": None}, 4, 32, "a GPTQ layer has no `qzeros`"),
        ({}, 4, 16, "a column belongs to a group that is not one of the 2"),
        (
            {"qweight": np.zeros((8, 32), np.int64)},
            4,
            32,
            "codes packed in int64 (8, 32), not in rows of int32",
        ),
        ({"g_idx": np.zeros(3, np.int32)}, 4, 32, "64 columns, but groups for (3,)"),
        (
            {"scales": np.ones((2, 8), np.float16)},
            4,
            32,
            "32 rows do not fit zeros (32, 2) and scales (8, 2)",
        ),
    ],
)
def test_a_gptq_layer_that_cannot_be_read_says_why(change, bits, group_size, message):
    layer = {k: v for k, v in {**gptq_layer(6, 4), **change}.items() if v is not None}
    with pytest.raises(ToolError) as caught:
        read_gptq(layer, bits=bits, group_size=group_size)
    assert str(caught.value) == message


@pytest.mark.parametrize("group_size", [16, 256])
def test_mlx_has_only_three_group_sizes(group_size):
    layer = gptq_layer(7, 4, columns=512, group_size=group_size)
    with pytest.raises(ToolError, match=f"MLX has no affine group of {group_size}"):
        to_affine(read_gptq(layer, bits=4, group_size=group_size), group_size)


# -- AWQ


def awq_layer(seed, columns=128, outputs=24, group_size=32):
    random = np.random.default_rng(seed)
    groups = columns // group_size
    return {
        "qweight": random_words(random, (columns, outputs // 8)),
        "qzeros": random_words(random, (groups, outputs // 8)),
        "scales": random_scales(random, (groups, outputs)),
    }


def awq_by_hand(layer, group_size):
    place_of = {0: 0, 2: 1, 4: 2, 6: 3, 1: 4, 3: 5, 5: 6, 7: 7}  # output within eight -> nibble
    columns, outputs = len(layer["qweight"]), layer["scales"].shape[1]
    numbers = np.empty((outputs, columns))
    for i in range(columns):
        for o in range(outputs):
            shift = 4 * place_of[o % 8]
            code = (int(layer["qweight"][i, o // 8]) >> shift) & 15
            zero = (int(layer["qzeros"][i // group_size, o // 8]) >> shift) & 15
            numbers[o, i] = (code - zero) * float(layer["scales"][i // group_size, o])
    return numbers


@quick
@given(seeds, st.sampled_from([32, 64, 128]))
def test_awq_dequantizes_as_defined_and_becomes_mlx_without_a_loss(seed, group_size):
    layer = awq_layer(seed, group_size=group_size)
    matrix = read_awq(layer, group_size=group_size)
    expected = awq_by_hand(layer, group_size)
    assert np.array_equal(dequantize(matrix), expected)
    assert np.array_equal(packing_mlx.dequantize(to_affine(matrix, group_size)), expected)


def test_an_awq_layer_without_zeros_is_refused():
    layer = awq_layer(0)
    del layer["qzeros"]
    with pytest.raises(ToolError, match="an AWQ layer has no `qzeros`"):
        read_awq(layer, group_size=32)
