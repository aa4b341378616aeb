from __future__ import annotations

import io
import struct
from pathlib import Path

import gguf as library
import numpy as np
import pytest
from checkpoints import Field, gguf_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexbuild.errors import IntegrityError
from cortexbuild.formats.gguf.header import (
    GgufHeader,
    GgufTensor,
    quantization_name,
    read_header,
    read_header_from,
)
from cortexbuild.formats.gguf.stream import SHORT_ARRAY, Omitted
from cortexbuild.formats.gguf.types import FILE_TYPES, TENSOR_TYPES

F32, F16, Q8_0, Q4_K, Q6_K, Q5_0 = 0, 1, 8, 12, 14, 6
FIELDS: list[Field] = [
    ("general.architecture", 8, "llama"),
    ("general.file_type", 4, 15),
    ("llama.rope.freq_base", 6, 10000.0),
    ("general.flag", 7, True),
    ("general.tags", 9, (8, ["a", "b"])),
]
TENSORS = [("token_embd.weight", Q4_K, (256, 2), 0), ("output_norm.weight", F32, (8,), 288)]
GOOD = gguf_bytes(FIELDS, TENSORS, data=288 + 32)


def parse(blob: bytes, *, keep_arrays: bool = False) -> GgufHeader:
    return read_header_from(io.BytesIO(blob), len(blob), "x.gguf", keep_arrays=keep_arrays)


def test_a_header_tells_fields_and_tensors() -> None:
    header = parse(GOOD)
    assert (header.version, header.alignment) == (3, 32)
    assert header.data_start == len(GOOD) - 320
    assert header.fields == {
        "general.architecture": "llama",
        "general.file_type": 15,
        "llama.rope.freq_base": 10000.0,
        "general.flag": True,
        "general.tags": ("a", "b"),
    }
    assert header.tensors == (
        GgufTensor("token_embd.weight", "Q4_K", (256, 2), 0, 288),
        GgufTensor("output_norm.weight", "F32", (8,), 288, 32),
    )


def test_version_two_is_read_the_same_way() -> None:
    assert parse(gguf_bytes(FIELDS, TENSORS, version=2, data=320)).tensors == parse(GOOD).tensors


def test_what_gguf_py_writes_is_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = library.GGUFWriter(path, "llama")
    writer.add_token_list([f"t{number}" for number in range(300)])
    writer.add_custom_alignment(64)
    weights = np.zeros((4, 64), np.float32)
    writer.add_tensor("a", library.quantize(weights, library.GGMLQuantizationType.Q8_0),
                      raw_dtype=library.GGMLQuantizationType.Q8_0)  # fmt: skip
    writer.add_tensor("b", weights[:3])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ours, theirs = read_header(path), library.GGUFReader(path)
    assert ours.alignment == theirs.alignment == 64
    assert ours.data_start == theirs.data_offset
    for own, other in zip(ours.tensors, theirs.tensors, strict=True):
        assert own.name == other.name
        assert own.type == other.tensor_type.name
        assert own.shape == tuple(other.shape.tolist())
        assert own.nbytes == other.n_bytes
        assert ours.data_start + own.offset == other.data_offset


def test_long_arrays_are_kept_only_when_asked_for() -> None:
    texts = [str(number) for number in range(SHORT_ARRAY + 1)]
    blob = gguf_bytes([("texts", 9, (8, texts)), ("numbers", 9, (5, list(range(999))))])
    assert parse(blob).fields == {"texts": Omitted(len(texts)), "numbers": Omitted(999)}
    kept = parse(blob, keep_arrays=True).fields
    assert kept == {"texts": tuple(texts), "numbers": tuple(range(999))}


def test_text_that_is_no_unicode_can_be_had_back() -> None:
    text = parse(gguf_bytes([("token", 8, b"\xff\xfe")])).fields["token"]
    assert isinstance(text, str)
    assert text.encode(errors="surrogateescape") == b"\xff\xfe"


def test_the_tables_are_those_of_gguf_py() -> None:
    sizes = library.GGML_QUANT_SIZES
    assert {t.value for t in sizes} == set(TENSOR_TYPES)
    for known, (block, size) in sizes.items():
        form = TENSOR_TYPES[known.value]
        assert (form.name, form.block, form.size) == (known.name, block, size)
    named = {f.value: f.name for f in library.LlamaFileType if f.name != "GUESSED"}
    assert {number: form.name for number, form in FILE_TYPES.items()} == named


def announce(tensors: int, fields: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, fields) + bytes(64)


def with_tensor(*tensors: tuple[str, int, tuple[int, ...], int], data: int = 64) -> bytes:
    return gguf_bytes([], tensors, data=data)


BAD = {
    "empty file": (b"", "truncated"),
    "another file": (b"PK\x03\x04" + bytes(60), "not GGUF: it starts with `PK\\x03\\x04`"),
    "version 1": (b"GGUF" + struct.pack("<I", 1) + bytes(60), "GGUF version 1; only 2 and 3"),
    "version 99": (b"GGUF" + struct.pack("<I", 99) + bytes(60), "GGUF version 99"),
    "big endian": (b"GGUF" + struct.pack(">I", 3) + bytes(60), "big-endian"),
    "cut off": (GOOD[:30], "truncated"),
    "cut off in the tensors": (GOOD[:-1], "ends 1 bytes behind the end of the file"),
    "2^60 tensors": (announce(2**60, 0), "truncated"),
    "2^64 - 1 fields": (announce(0, 2**64 - 1), "truncated"),
    "a text of 2^60": (
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60) + bytes(64),
        "more bytes announced than the file has room for",
    ),
    "an array of 2^60": (
        gguf_bytes([("k", 9, (4, []))])[:-24] + struct.pack("<Q", 2**60) + bytes(64),
        "truncated",
    ),
    "a field twice": (gguf_bytes([("k", 4, 1), ("k", 4, 1)]), "the field `k` stands twice"),
    "a name that is no text": (with_tensor((b"\xff", F32, (8,), 0)), "a name that is not text"),  # type: ignore[arg-type]
    "an unknown value type": (
        gguf_bytes([("k", 4, 1)]).replace(struct.pack("<II", 4, 1), struct.pack("<II", 77, 1)),
        "a value of the unknown type 77",
    ),
    "an array of arrays": (
        gguf_bytes([("k", 9, (9, [(4, [1]), (4, [2])]))]),
        "a value of the unknown type 9",
    ),
    "no alignment": (gguf_bytes([("general.alignment", 4, 0)]), "`0` is no alignment"),
    "a crooked alignment": (gguf_bytes([("general.alignment", 4, 33)]), "`33` is no alignment"),
    "text as alignment": (gguf_bytes([("general.alignment", 8, "32")]), "is no alignment"),
    "a tensor twice": (with_tensor(("a", F32, (8,), 0), ("a", F32, (8,), 32)), "stands twice"),
    "five dimensions": (with_tensor(("a", F32, (1, 1, 1, 1, 1), 0)), "5 dimensions"),
    "an unknown tensor type": (with_tensor(("a", 4, (8,), 0)), "the unknown type 4"),
    "rows that fill no block": (with_tensor(("a", Q4_K, (100,), 0)), "cannot have the shape"),
    "a block without a shape": (with_tensor(("a", Q4_K, (), 0)), "has no shape"),
    "a huge shape": (with_tensor(("a", F32, (2**40, 2**40), 0)), "cannot have the shape"),
    "out of the file": (with_tensor(("a", F32, (99,), 0)), "behind the end of the file"),
    "an overlap": (
        with_tensor(("a", F32, (16,), 0), ("b", F32, (8,), 32), data=99),
        "overlaps another tensor: it begins at 32, not at 64",
    ),
    "a hole": (
        with_tensor(("a", F32, (8,), 0), ("b", F32, (8,), 64), data=99),
        "follows on a hole: it begins at 64, not at 32",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_hostile_header_is_refused_with_place_fault_and_hint(case: str) -> None:
    blob, fault = BAD[case]
    for keep_arrays in (False, True):
        with pytest.raises(IntegrityError) as caught:
            parse(blob, keep_arrays=keep_arrays)
        assert str(caught.value).startswith("x.gguf: ")
        assert fault in str(caught.value)
        assert caught.value.hint


def test_a_git_lfs_pointer_gets_its_own_hint() -> None:
    with pytest.raises(IntegrityError) as caught:
        parse(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    assert "git lfs pull" in caught.value.hint


@settings(deadline=1000, max_examples=300)
@given(st.binary(max_size=400))
def test_random_bytes_are_refused_and_nothing_else_happens(blob: bytes) -> None:
    for start in (b"", b"GGUF\x03\0\0\0"):
        try:
            parse(start + blob)
        except IntegrityError as error:
            assert error.hint


@settings(deadline=1000, max_examples=500)
@given(
    st.lists(
        st.tuples(st.integers(0, len(GOOD) - 320), st.binary(min_size=1, max_size=8)),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, len(GOOD)),
)
def test_a_damaged_header_is_read_or_refused_and_stays_within_the_file(
    cuts: list[tuple[int, bytes]], end: int
) -> None:
    blob = bytearray(GOOD)
    for place, new in cuts:
        blob[place : place + len(new)] = new
    for damaged in (bytes(blob), bytes(blob[:end])):
        try:
            header = parse(damaged, keep_arrays=True)
        except IntegrityError as error:
            assert error.hint
        else:
            for tensor in header.tensors:
                assert header.data_start + tensor.offset + tensor.nbytes <= len(damaged)


def model(file_type: int | None, *weights: tuple[int, tuple[int, ...]]) -> GgufHeader:
    tensors, place = [], 0
    for number, (kind, shape) in enumerate(weights):
        form = TENSOR_TYPES[kind]
        size = int(np.prod(shape)) // form.block * form.size
        name = "token_embd.weight" if number == 0 else f"blk.{number}.weight"
        tensors.append((name, kind, shape, place))
        place += size + -size % 32
    fields: list[Field] = [] if file_type is None else [("general.file_type", 4, file_type)]
    return parse(gguf_bytes(fields, tensors, data=place))


def test_the_file_type_names_the_quantization_when_the_tensors_agree() -> None:
    wide, table = (256, 64), (256, 999)
    assert quantization_name(model(15, (Q6_K, table), (Q4_K, wide), (F32, (9,)))) == "Q4_K_M"
    assert quantization_name(model(14, (Q6_K, table), (Q4_K, wide))) == "Q4_K_S"
    assert quantization_name(model(1024 + 7, (Q8_0, table), (Q8_0, wide))) == "Q8_0"
    assert quantization_name(model(1, (F16, table), (F16, wide))) == "FP16"
    assert quantization_name(model(0, (F32, table), (F32, wide))) == "FP32"


def test_a_file_type_that_lies_is_not_believed() -> None:
    wide = (256, 64)
    assert quantization_name(model(15, (Q8_0, wide), (Q8_0, wide))) == "Q8_0"
    assert quantization_name(model(15, (F16, wide), (F16, wide), (Q4_K, (256, 1)))) == "FP16"
    assert quantization_name(model(1, (Q4_K, wide), (Q4_K, wide))) == "Q4_K"
    assert quantization_name(model(None, (Q6_K, wide), (Q6_K, wide))) == "Q6_K"
    assert quantization_name(model(999, (Q6_K, wide), (Q6_K, wide))) == "Q6_K"


def test_narrow_rows_take_the_type_that_llama_cpp_falls_back_to() -> None:
    assert quantization_name(model(15, (Q5_0, (96, 9)), (Q5_0, (96, 9)))) == "Q4_K_M"
    assert quantization_name(model(15, (Q5_0, (256, 9)), (Q5_0, (256, 9)))) == "Q5_0"


def test_a_vocabulary_without_weights_has_no_quantization() -> None:
    assert quantization_name(model(None)) == "none"
