"""GGUF blocks and MLX, both ways, against the structs of ggml, gguf-py and MLX."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexbuild.errors import ToolError
from cortexbuild.formats.packing.floats import bfloat16_of_float32, float32_of_bfloat16
from cortexbuild.formats.packing.gguf import BLOCK_BYTES, from_gguf_blocks, to_q4_1
from cortexbuild.formats.packing.mlx import Affine, dequantize
from cortexbuild.formats.packing.rows import to_gguf_rows
from cortexbuild.formats.packing.words import pack_codes

quants = pytest.importorskip("gguf").quants
TYPES = pytest.importorskip("gguf").GGMLQuantizationType

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def by_hand(raw, block_type):
    """The structs of ggml-common.h, read one block at a time into float64."""
    numbers = []
    for block in np.ascontiguousarray(raw).reshape(-1, BLOCK_BYTES[block_type]):
        data = block.tobytes()
        if block_type == "Q8_0":
            scale, *codes = struct.unpack("<e32b", data)
            numbers += [code * scale for code in codes]
            continue
        shape = "<e16B" if block_type == "Q4_0" else "<ee16B"
        scale, *rest = struct.unpack(shape, data)
        minimum = rest.pop(0) if block_type == "Q4_1" else -8 * scale
        codes = [byte & 15 for byte in rest] + [byte >> 4 for byte in rest]
        numbers += [code * scale + minimum for code in codes]
    return np.array(numbers).reshape(raw.shape[0], -1)


def random_blocks(seed, block_type, rows=3, blocks=2):
    """Any bytes as codes; scales and minimums of a usual size."""
    random = np.random.default_rng(seed)
    raw = random.integers(0, 256, (rows, blocks, BLOCK_BYTES[block_type])).astype(np.uint8)
    floats = 2 if block_type == "Q4_1" else 1
    numbers = random.standard_normal((rows, blocks, floats)) * 2.0 ** random.integers(-14, 6)
    raw[..., : 2 * floats] = numbers.astype("<f2").view(np.uint8)
    return raw.reshape(rows, -1)


@quick
@given(seeds, st.sampled_from(sorted(BLOCK_BYTES)))
def test_blocks_mean_the_same_in_mlx_bit_for_bit(seed, block_type):
    raw = random_blocks(seed, block_type)
    affine = from_gguf_blocks(raw, block_type)
    assert (affine.scales.dtype, affine.biases.dtype) == (np.float16, np.float16)
    ours = dequantize(affine)
    assert np.array_equal(ours, by_hand(raw, block_type).astype(np.float32))
    assert np.array_equal(ours, quants.dequantize(raw, TYPES[block_type]))


@pytest.mark.parametrize("block_type", sorted(BLOCK_BYTES))
def test_mlx_itself_reads_the_same_numbers(block_type):
    mx = pytest.importorskip("mlx.core")
    raw = random_blocks(0, block_type, rows=8, blocks=4)
    affine = from_gguf_blocks(raw, block_type)
    parts = (affine.weight, affine.scales.astype("f4"), affine.biases.astype("f4"))
    weight, scales, biases = (mx.array(part) for part in parts)
    theirs = np.array(mx.dequantize(weight, scales, biases, 32, affine.bits))
    assert np.array_equal(theirs, quants.dequantize(raw, TYPES[block_type]))


@quick
@given(seeds)
def test_q4_1_survives_the_way_through_mlx_byte_for_byte(seed):
    raw = random_blocks(seed, "Q4_1")
    assert np.array_equal(to_q4_1(from_gguf_blocks(raw, "Q4_1")), raw)


def random_affine(seed, group_size, dtype):
    random = np.random.default_rng(seed)
    codes = random.integers(0, 16, (2, 3, 2 * group_size)).astype(np.uint8)
    scales, biases = random.standard_normal((2, 2, 3, 2)).astype(np.float32)
    if dtype == "float16":
        scales, biases = scales.astype(np.float16), biases.astype(np.float16)
    else:
        scales, biases = (float32_of_bfloat16(bfloat16_of_float32(x)) for x in (scales, biases))
    return Affine(pack_codes(codes, 4), scales, biases, 4, group_size)


@quick
@given(seeds, st.sampled_from([32, 64, 128]), st.sampled_from(["float16", "bfloat16"]))
def test_4_bit_mlx_means_the_same_in_q4_1_bit_for_bit(seed, group_size, dtype):
    affine = random_affine(seed, group_size, dtype)
    raw = to_q4_1(affine)
    assert raw.shape == (2, 3, affine.columns // 32 * 20)
    assert np.array_equal(quants.dequantize(raw, TYPES.Q4_1), dequantize(affine))


@quick
@given(seeds)
def test_moving_the_rows_of_q_and_k_may_come_before_or_after_packing(seed):
    raw = random_blocks(seed, "Q4_1", rows=12)
    affine = from_gguf_blocks(raw, "Q4_1")
    parts = (to_gguf_rows(part, 3) for part in (affine.weight, affine.scales, affine.biases))
    moved = Affine(*parts, 4, 32)
    assert np.array_equal(dequantize(moved), to_gguf_rows(dequantize(affine), 3))
    assert np.array_equal(to_q4_1(moved), to_gguf_rows(raw, 3))


def test_numbers_that_are_not_float16_are_counted_and_refused():
    affine = random_affine(0, 32, "bfloat16")
    affine.scales[1, 2, 1] = 2.0**17
    with pytest.raises(ToolError) as caught:
        to_q4_1(affine)
    assert str(caught.value) == (
        "1 of 12 scales are not float16 numbers, the first is 131072.0 at [1, 2, 1]"
    )
    assert caught.value.hint == "dequantize it instead"
    affine.scales[1, 2, 1] = 1.0
    affine.biases[0, 1:] = 0.1
    with pytest.raises(ToolError, match=r"4 of 12 biases are .* at \[0, 1, 0\]"):
        to_q4_1(affine)


def test_other_widths_do_not_become_q4_1():
    codes = np.zeros((1, 64), np.uint8)
    part = np.ones((1, 2), np.float16)
    with pytest.raises(ToolError, match="Q4_1 has 4 bits, not 8"):
        to_q4_1(Affine(pack_codes(codes, 8), part, part, 8, 32))


def test_a_scale_whose_bias_is_beyond_float16_is_refused():
    raw = random_blocks(0, "Q8_0", rows=1)
    raw[0, :2] = np.array([1024.0], "<f2").view(np.uint8)
    with pytest.raises(ToolError, match=r"1 of 2 biases .* is -131072.0 at \[0, 0\]"):
        from_gguf_blocks(raw, "Q8_0")


def test_half_a_block_is_refused():
    with pytest.raises(ToolError, match="rows of 19 bytes are not whole Q4_0 blocks"):
        from_gguf_blocks(np.zeros((1, 19), np.uint8), "Q4_0")
