from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors
from checkpoints import write_safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexbuild.errors import IntegrityError
from cortexbuild.formats.safetensors.header import (
    DTYPE_BITS,
    Header,
    TensorInfo,
    header_size,
    parse_header,
    read_header,
    read_header_from,
    tensor_bytes,
    write_header,
)

GOOD: dict[str, Any] = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "U8", "shape": [], "data_offsets": [24, 25]},
    "c": {"dtype": "F16", "shape": [0, 7], "data_offsets": [25, 25]},
}


def blob_of(header: object, data: int = 25) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


def parse(blob: bytes) -> Header:
    return parse_header(blob, len(blob), "x.safetensors")


def one(**changed: Any) -> dict[str, Any]:
    return {"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4], **changed}}


def test_a_header_tells_where_every_tensor_is() -> None:
    header = parse(blob_of(GOOD))
    size = len(blob_of(GOOD)) - 25
    assert header.size == size
    assert header.metadata == {"format": "pt"}
    assert list(header.tensors) == ["a", "b", "c"]
    assert header.tensors["a"] == TensorInfo("a", "F32", (2, 3), size, size + 24)


def test_tensors_are_in_the_order_of_their_bytes() -> None:
    header = {
        "z": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]},
    }
    assert list(parse(blob_of(header, 2)).tensors) == ["z", "a"]


def test_what_we_write_the_library_reads(tmp_path: Path) -> None:
    shapes = {"w": ("BF16", (3, 5)), "é": ("I8", (7,)), "empty": ("F32", (0,))}
    path = write_safetensors(tmp_path / "w.safetensors", shapes, {"format": "mlx"})
    with safetensors.safe_open(path, "numpy") as library:
        assert set(library.keys()) == set(shapes)
        assert library.metadata() == {"format": "mlx"}
        assert library.get_slice("é").get_shape() == [7]
    assert {n: (t.dtype, t.shape) for n, t in read_header(path).tensors.items()} == shapes


def test_a_written_header_ends_at_a_multiple_of_eight() -> None:
    for length in range(20):
        assert len(write_header([("w" * length, "U8", (1,))], {})) % 8 == 0


def test_writing_a_name_twice_is_refused() -> None:
    with pytest.raises(IntegrityError, match="`w` is taken"):
        write_header([("w", "U8", (1,)), ("w", "U8", (1,))], {})


def test_every_dtype_has_the_size_that_the_library_gives_it() -> None:
    for dtype, bits in DTYPE_BITS.items():
        header = {"a": {"dtype": dtype, "shape": [8], "data_offsets": [0, bits]}}
        assert safetensors.deserialize(blob_of(header, bits))
        assert parse(blob_of(header, bits)).tensors["a"].dtype == dtype


def test_values_smaller_than_a_byte_must_fill_whole_bytes() -> None:
    assert tensor_bytes("F4", (3, 2), "x") == 3
    with pytest.raises(IntegrityError, match="3 values of F4 do not fill whole bytes"):
        tensor_bytes("F4", (3,), "x")


BAD = {
    "empty file": (b"", "truncated: it has 0 bytes"),
    "seven bytes": (b"1234567", "truncated: it has 7 bytes"),
    "length of 2^60": (struct.pack("<Q", 2**60) + bytes(99), "at most 100000000 are allowed"),
    "length past the end": (struct.pack("<Q", 1000) + b"{}", "truncated"),
    "half of a header": (blob_of(GOOD)[:40], "truncated"),
    "no JSON": (blob_of(b"hello"), "not JSON"),
    "no text": (blob_of(b"\xff\xfe\x00"), "not JSON"),
    "a list": (blob_of([1]), "expected a JSON object"),
    "a bomb of lists": (blob_of(b"[" * 100_000), "nested too deeply"),
    "a bomb of tables": (blob_of(b'{"a":' * 100_000), "nested too deeply"),
    "a huge number": (blob_of(b'{"a":' + b"9" * 5000 + b"}"), "not JSON"),
    "NaN": (blob_of(b'{"__metadata__":{"a":NaN}}'), "NaN is not JSON"),
    "half a surrogate": (blob_of(b'{"\\ud800":{}}'), "not JSON"),
    "a name twice": (blob_of(b'{"a":1,"a":2}'), "the key `a` stands twice"),
    "metadata of numbers": (blob_of({"__metadata__": {"a": 1}}, 0), "not a table of text"),
    "metadata as a list": (blob_of({"__metadata__": [1]}, 0), "not a table of text"),
    "a tensor that is a number": (blob_of({"a": 5}), "is not a table"),
    "no dtype": (blob_of({"a": {"shape": [4], "data_offsets": [0, 4]}}, 4), "unknown dtype"),
    "unknown dtype": (blob_of(one(dtype="F128"), 4), "unknown dtype `F128`"),
    "dtype as a list": (blob_of(one(dtype=["U8"]), 4), "unknown dtype"),
    "no shape": (blob_of(one(shape=None), 4), "its shape is not a list"),
    "text as a shape": (blob_of(one(shape="4"), 4), "its shape is not a list"),
    "negative shape": (blob_of(one(shape=[-4]), 4), "`-4` is no size"),
    "fraction in a shape": (blob_of(one(shape=[4.0]), 4), "`4.0` is no size"),
    "truth in a shape": (blob_of(one(shape=[True, 4]), 4), "`True` is no size"),
    "huge shape": (blob_of(one(shape=[2**40, 2**40]), 4), "its shape is too large"),
    "huge shape times nothing": (blob_of(one(shape=[2**62, 2, 0]), 4), "too large"),
    "offsets as text": (blob_of(one(data_offsets="04"), 4), "not two places"),
    "one offset": (blob_of(one(data_offsets=[0]), 4), "not two places"),
    "offsets as fractions": (blob_of(one(data_offsets=[0.0, 4.0]), 4), "not two places"),
    "negative offsets": (blob_of(one(data_offsets=[-4, 0]), 4), "not two places"),
    "offsets backwards": (blob_of(one(data_offsets=[4, 0]), 4), "are not the 4 of its shape"),
    "too few bytes": (blob_of(one(data_offsets=[0, 3]), 3), "bytes 0 to 3 are not the 4"),
    "out of the file": (blob_of(one(), 3), "truncated: it ends at byte"),
    "a hole in front": (blob_of(one(data_offsets=[2, 6]), 6), "a hole of 2 bytes before it"),
    "bytes left over": (blob_of(one(), 9), "5 bytes at its end belong to no tensor"),
    "overlap": (
        blob_of({**one(), "b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]}}, 6),
        "overlaps another tensor",
    ),
    "overlap of equals": (blob_of({**one(), "b": one()["a"]}, 4), "overlaps another tensor"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_hostile_header_is_refused_with_place_fault_and_hint(case: str) -> None:
    blob, fault = BAD[case]
    with pytest.raises(IntegrityError) as caught:
        parse(blob)
    assert str(caught.value).startswith("x.safetensors: ")
    assert fault in str(caught.value)
    assert caught.value.hint
    assert len(str(caught.value)) < 400


def test_a_message_is_compared_whole() -> None:
    with pytest.raises(IntegrityError) as caught:
        parse(blob_of({"evil\n" + "x" * 200: one(dtype="F128")["a"]}, 4))
    shown = "evil\\n" + "x" * 72 + "..."
    assert str(caught.value) == f"x.safetensors: `{shown}`: unknown dtype `F128`"
    assert caught.value.hint == "a newer safetensors format, or a damaged file"


def test_a_git_lfs_pointer_gets_its_own_hint() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    with pytest.raises(IntegrityError) as caught:
        parse(pointer)
    assert "git lfs pull" in caught.value.hint


def test_a_huge_header_is_refused_before_it_is_read() -> None:
    class Watched(io.BytesIO):
        asked = 0

        def read(self, size: int | None = -1) -> bytes:
            self.asked += 10**12 if size is None or size < 0 else size
            return super().read(size)

    for length, file_size in ((2**60, 2**61), (99_000_000, 500)):
        stream = Watched(struct.pack("<Q", length) + b"{}")
        with pytest.raises(IntegrityError):
            read_header_from(stream, file_size, "x")
        assert stream.asked == 8


def test_a_file_cut_off_while_it_is_read_is_truncated() -> None:
    blob = blob_of(GOOD)
    with pytest.raises(IntegrityError, match="truncated"):
        read_header_from(io.BytesIO(blob[:50]), len(blob), "x")


def test_the_length_of_a_header_is_known_from_eight_bytes() -> None:
    blob = blob_of(GOOD)
    assert header_size(blob[:8], len(blob), "x") == len(blob) - 25


def refused_or_good(blob: bytes) -> bool:
    """Whether it was accepted. Anything but IntegrityError escapes and fails the test."""
    try:
        parse(blob)
    except IntegrityError as error:
        assert error.hint
        return False
    return True


@settings(deadline=1000, max_examples=300)
@given(st.binary(max_size=400))
def test_random_bytes_are_refused_and_nothing_else_happens(blob: bytes) -> None:
    refused_or_good(blob)
    refused_or_good(len(blob).to_bytes(8, "little") + blob)


@settings(deadline=1000, max_examples=500)
@given(
    st.lists(
        st.tuples(st.integers(0, len(blob_of(GOOD)) - 1), st.binary(max_size=4)),
        min_size=1,
        max_size=5,
    )
)
def test_what_survives_of_a_damaged_header_the_library_reads_too(
    cuts: list[tuple[int, bytes]],
) -> None:
    blob = bytearray(blob_of(GOOD))
    for place, new in cuts:
        blob[place : place + len(new)] = new
    if refused_or_good(bytes(blob)):
        safetensors.deserialize(bytes(blob))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*DTYPE_BITS, "F128"]) | VALUES,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | VALUES,
        "data_offsets": st.lists(st.integers(-1, 20), min_size=2, max_size=2) | VALUES,
    }
)


@settings(deadline=1000, max_examples=500)
@given(st.dictionaries(st.text(max_size=3), ENTRY | VALUES, max_size=3), st.integers(0, 20))
def test_what_we_accept_of_any_json_the_library_accepts_too(header: Any, data: int) -> None:
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    if refused_or_good(blob_of(text, data)):
        safetensors.deserialize(blob_of(text, data))
