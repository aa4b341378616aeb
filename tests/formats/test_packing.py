"""Codes in words, small floats and the order of rows, against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cortexbuild.errors import ToolError
from cortexbuild.formats.packing.floats import (
    bfloat16_of_float32,
    float32_of_bfloat16,
    inexact,
    smallest_exact,
)
from cortexbuild.formats.packing.rows import from_gguf_rows, to_gguf_rows
from cortexbuild.formats.packing.words import BITS, pack_codes, unpack_codes

quick = settings(max_examples=40, deadline=None)


def code_rows(bits):
    """Rows of codes, each row a whole number of 32s: what fills words at every width."""
    shapes = st.tuples(st.integers(1, 3), st.integers(1, 3)).map(lambda n: (n[0], n[1] * 32))
    return shapes.flatmap(
        lambda shape: npst.arrays(np.uint8, shape, elements=st.integers(0, 2**bits - 1))
    )


@quick
@given(st.data(), st.sampled_from(BITS))
def test_a_row_is_one_little_endian_number_with_the_first_code_lowest(data, bits):
    codes = data.draw(code_rows(bits))
    for row, words in zip(codes, pack_codes(codes, bits), strict=True):
        number = int.from_bytes(words.astype("<u4").tobytes(), "little")
        assert [(number >> (i * bits)) % 2**bits for i in range(len(row))] == row.tolist()


@quick
@given(st.data(), st.sampled_from(BITS))
def test_unpacking_undoes_packing(data, bits):
    codes = data.draw(code_rows(bits))
    words = pack_codes(codes, bits)
    assert words.dtype == np.uint32
    assert np.array_equal(unpack_codes(words, bits), codes)
    assert np.array_equal(pack_codes(unpack_codes(words, bits), bits), words)


def test_leading_axes_are_kept():
    codes = np.arange(2 * 3 * 64, dtype=np.uint8).reshape(2, 3, 64) % 8
    assert unpack_codes(pack_codes(codes, 3), 3).shape == (2, 3, 64)


@pytest.mark.parametrize(
    ("codes", "bits", "message"),
    [
        (np.zeros((1, 32), np.uint8), 7, "7-bit codes are not supported, only 2, 3, 4, 5, 6, 8"),
        (np.full((1, 32), 8, np.uint8), 3, "the code 8 does not fit into 3 bits"),
        (np.zeros((1, 12), np.uint8), 4, "rows of 12 codes of 4 bits do not fill whole words"),
    ],
)
def test_what_cannot_be_packed_is_refused(codes, bits, message):
    with pytest.raises(ToolError) as caught:
        pack_codes(codes, bits)
    assert str(caught.value) == message


def test_a_row_that_ends_within_a_code_is_refused():
    with pytest.raises(ToolError, match="1 words do not hold a whole number of 3-bit codes"):
        unpack_codes(np.zeros((1, 1), np.uint32), 3)


# -- floats


def test_every_float16_is_exact_in_float16_and_few_are_in_bfloat16():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    assert not inexact(finite, "float16").any()
    # bfloat16 has 8 significant bits: the lower 3 of a float16's 11 must be 0.
    normal = finite[np.abs(finite) >= np.finfo(np.float16).tiny]
    low_bits = normal.view(np.uint16) & 0b111
    assert np.array_equal(inexact(normal, "bfloat16"), low_bits != 0)


def test_every_bfloat16_survives_the_way_through_float32():
    every = np.arange(2**16, dtype=np.uint16)
    wide = float32_of_bfloat16(every)
    finite = np.isfinite(wide)
    assert not inexact(wide[finite], "bfloat16").any()
    assert np.array_equal(bfloat16_of_float32(wide)[finite], every[finite])


@quick
@given(npst.arrays(np.float32, 20, elements=st.floats(width=32, allow_nan=False)))
def test_bfloat16_rounds_to_the_nearest_and_ties_to_even(values):
    rounded = bfloat16_of_float32(values)
    bits = values.view(np.uint32)
    below = (bits >> np.uint32(16)).astype(np.uint32)
    rest = bits & np.uint32(0xFFFF)
    up = (rest > 0x8000) | ((rest == 0x8000) & (below % 2 == 1))
    assert np.array_equal(rounded, (below + up).astype(np.uint16))


@pytest.mark.parametrize(
    ("bits", "rounded"),
    [
        (0x3F808000, 0x3F80),  # half way: down to the even one
        (0x3F818000, 0x3F82),  # half way: up to the even one
        (0x3F817FFF, 0x3F81),
        (0x3F808001, 0x3F81),
        (0x7F7FFFFF, 0x7F80),  # the largest float32 is beyond: infinity
    ],
)
def test_bfloat16_at_the_edges(bits, rounded):
    assert bfloat16_of_float32(np.array([bits], np.uint32).view(np.float32)) == rounded


def test_nan_stays_nan_in_bfloat16():
    nans = np.array([0x7F800001, 0xFFFFFFFF, 0x7FFFFFFF], np.uint32).view(np.float32)
    assert np.isnan(float32_of_bfloat16(bfloat16_of_float32(nans))).all()


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ([0.5, 65504.0], "float16"),
        ([0.1], "float32"),
        ([1.0, 2.0**17], "bfloat16"),
        ([2.0**-24], "float16"),
        ([np.inf], None),
        ([np.nan], None),
    ],
)
def test_the_smallest_exact_dtype(values, name):
    assert smallest_exact(np.array(values, np.float32), np.ones(1, np.float16)) == name


# -- rows


@quick
@given(st.integers(1, 4), st.integers(1, 5), st.sampled_from([(), (3,), (2, 3)]))
def test_rows_of_the_two_halves_of_a_head_become_neighbours(heads, half, trailing):
    rows = heads * 2 * half
    array = np.arange(rows * max(1, int(np.prod(trailing)))).reshape(rows, *trailing)
    moved = to_gguf_rows(array, heads)
    for head in range(heads):
        for i in range(half):
            start = head * 2 * half
            assert np.array_equal(moved[start + 2 * i], array[start + i])
            assert np.array_equal(moved[start + 2 * i + 1], array[start + half + i])
    assert np.array_equal(from_gguf_rows(moved, heads), array)
    assert moved.flags.c_contiguous


def test_rows_that_are_not_heads_are_refused():
    with pytest.raises(ToolError, match="6 rows are not 2 heads of an even size"):
        to_gguf_rows(np.zeros(6), 2)
