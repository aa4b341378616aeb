"""Our reading of MLX's layout, against the definition and against MLX itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexbuild.errors import ToolError
from cortexbuild.formats.packing.floats import float32_of_bfloat16
from cortexbuild.formats.packing.gptq import read_gptq
from cortexbuild.formats.packing.mlx import GROUP_SIZES, Affine, dequantize
from cortexbuild.formats.packing.words import BITS, pack_codes
from cortexbuild.formats.packing.zeros import to_affine

mx = pytest.importorskip("mlx.core")

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def by_hand(affine):
    """The definition, in float64: a row is one little-endian stream of codes."""
    stream = np.unpackbits(affine.weight.view(np.uint8), axis=-1, bitorder="little")
    digits = stream.reshape(*affine.weight.shape[:-1], -1, affine.bits).astype(np.int64)
    codes = (digits << np.arange(affine.bits)).sum(-1)
    scales = np.repeat(affine.scales.astype(np.float64), affine.group_size, axis=-1)
    biases = np.repeat(affine.biases.astype(np.float64), affine.group_size, axis=-1)
    return codes * scales + biases


def by_mlx(affine):
    parts = (affine.weight, affine.scales.astype("f4"), affine.biases.astype("f4"))
    weight, scales, biases = (mx.array(part) for part in parts)
    return np.array(mx.dequantize(weight, scales, biases, affine.group_size, affine.bits))


def random_affine(seed, bits, group_size, rows=3):
    random = np.random.default_rng(seed)
    columns = group_size * 2
    codes = random.integers(0, 2**bits, (rows, columns)).astype(np.uint8)
    scales, biases = random.standard_normal((2, rows, 2)).astype(np.float16)
    return Affine(pack_codes(codes, bits), scales, biases, bits, group_size)


@quick
@given(seeds, st.sampled_from(BITS), st.sampled_from(GROUP_SIZES))
def test_random_words_mean_the_same_to_mlx_bit_for_bit(seed, bits, group_size):
    affine = random_affine(seed, bits, group_size)
    ours = dequantize(affine)
    assert np.array_equal(ours, by_hand(affine).astype(np.float32))
    assert np.array_equal(ours, by_mlx(affine))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("group_size", GROUP_SIZES)
def test_what_mlx_quantized_is_read_as_mlx_reads_it(bits, group_size):
    numbers = mx.array(np.random.default_rng(bits).standard_normal((4, 256)).astype(np.float32))
    for dtype in (mx.float16, mx.bfloat16, mx.float32):
        weight, *rest = mx.quantize(numbers.astype(dtype), group_size, bits)
        scales, biases = (np.array(part.astype(mx.float32)) for part in rest)
        affine = Affine(np.array(weight), scales, biases, bits, group_size)
        assert affine.columns == 256
        assert np.array_equal(pack_codes(affine.codes(), bits), affine.weight)
        if dtype == mx.float32:
            np.testing.assert_allclose(dequantize(affine), by_mlx(affine), atol=1e-6)
        else:
            assert np.array_equal(dequantize(affine), by_mlx(affine))


def test_bfloat16_bits_are_those_of_mlx():
    every = np.arange(2**16, dtype=np.uint16)
    theirs = np.array(mx.array(every).view(mx.bfloat16).astype(mx.float32))
    assert np.array_equal(float32_of_bfloat16(every).view(np.uint32), theirs.view(np.uint32))


def test_a_repacked_gptq_layer_means_the_same_to_mlx():
    random = np.random.default_rng(0)
    layer = {
        "qweight": random.integers(-(2**31), 2**31, (32, 16)).astype(np.int32),
        "qzeros": random.integers(-(2**31), 2**31, (4, 2)).astype(np.int32),
        "scales": random.standard_normal((4, 16)).astype(np.float16),
    }
    affine = to_affine(read_gptq(layer, bits=4, group_size=64), 64)
    assert np.array_equal(by_mlx(affine), by_hand(affine))


@pytest.mark.parametrize(
    ("groups", "group_size", "message"),
    [
        (2, 48, "MLX has no affine group of 48"),
        (
            3,
            64,
            "4-bit weight (1, 16) in groups of 64 needs scales and biases (1, 2), "
            "not (1, 3) and (1, 3)",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(groups, group_size, message):
    part = np.ones((1, groups), np.float16)
    with pytest.raises(ToolError) as caught:
        Affine(np.zeros((1, 16), np.uint32), part, part, 4, group_size)
    assert str(caught.value) == message
