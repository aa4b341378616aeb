"""The header of a safetensors file: which tensors, and where. Reads no tensor, believes nothing.

The format: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..foreign import MAX_HEADER, parse_object, refuse, shown

DTYPE_BITS: Mapping[str, int] = {
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
    "C64": 64,
}
"""Bits of one value, of every dtype that the library knows (safetensors 0.8, `Dtype`)."""

_LENGTH = 8
_MOST_VALUES = 2**63
_WRITTEN_WRONG = "this is a mistake in what is being written"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """`start` and `end` are byte offsets from the beginning of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """`tensors` in the order of their bytes. These begin at `size`, right after the JSON."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    size: int


def read_header(path: Path) -> Header:
    """Read the header of a file. Raises IntegrityError when anything about it is wrong."""
    with path.open("rb") as stream:
        return read_header_from(stream, path.stat().st_size, path.name)


def read_header_from(stream: BinaryIO, file_size: int, where: str) -> Header:
    """The same from an open file, which may be a remote one: only the header is read."""
    start = stream.read(_LENGTH)
    size = header_size(start, file_size, where)
    return parse_header(start + stream.read(size - _LENGTH), file_size, where)


def header_size(start: bytes, file_size: int, where: str) -> int:
    """How many bytes to give to `parse_header`, out of the first 8 of the file."""
    if len(start) < _LENGTH or file_size < _LENGTH:
        short = min(len(start), file_size)
        raise refuse(where, f"truncated: it has {short} bytes, and its length alone takes 8")
    length = int.from_bytes(start[:_LENGTH], "little")
    if length > MAX_HEADER:
        what = f"its header would have {length} bytes; at most {MAX_HEADER} are allowed"
        raise refuse(where, what, start=start[:_LENGTH])
    if _LENGTH + length > file_size:
        what = f"truncated: its header has {length} bytes, the file only {file_size}"
        raise refuse(where, what)
    return _LENGTH + length


def parse_header(blob: bytes, file_size: int, where: str) -> Header:
    """Parse the first `header_size` bytes of a file (more do no harm), called `where` in errors."""
    size = header_size(blob, file_size, where)
    if len(blob) < size:
        raise refuse(where, f"truncated: {len(blob)} of the {size} bytes of its header are here")
    table = parse_object(blob[_LENGTH:size], where, strict=True)
    metadata = _metadata(table.pop("__metadata__", None), where)
    found = [_tensor(name, entry, size, where) for name, entry in table.items()]
    found.sort(key=lambda tensor: (tensor.start, tensor.end))
    _check_layout(found, size, file_size, where)
    return Header({tensor.name: tensor for tensor in found}, metadata, size)


def write_header(
    entries: Sequence[tuple[str, str, Sequence[int]]], metadata: Mapping[str, str]
) -> bytes:
    """The header of a file whose tensors, given as (name, dtype, shape), follow in this order.

    Its length is a multiple of 8. So is every tensor's place, when wide dtypes come first.
    """
    table: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    place = 0
    for name, dtype, shape in entries:
        if name in table or name == "__metadata__":
            raise refuse("new file", f"the name {shown(name)} is taken", hint=_WRITTEN_WRONG)
        size = tensor_bytes(dtype, shape, f"new file: {shown(name)}")
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        what = f"its header would have {len(text)} bytes; at most {MAX_HEADER} are allowed"
        raise refuse("new file", what, hint="write it in several files")
    return len(text).to_bytes(_LENGTH, "little") + text


def tensor_bytes(dtype: object, shape: object, where: str) -> int:
    """Bytes of a tensor. Raises IntegrityError for a dtype or shape that no file may have."""
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        hint = "a newer safetensors format, or a damaged file"
        raise refuse(where, f"unknown dtype {shown(str(dtype))}", hint=hint)
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise refuse(where, "its shape is not a list")
    values = 1
    for width in shape:
        if not _is_size(width):
            raise refuse(where, f"{shown(repr(width))} is no size")
        values *= width
        if values >= _MOST_VALUES:
            raise refuse(where, "its shape is too large")
    bits = values * DTYPE_BITS[dtype]
    if bits % 8:
        raise refuse(where, f"{values} values of {dtype} do not fill whole bytes")
    return bits // 8


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < _MOST_VALUES


def _metadata(found: object, where: str) -> Mapping[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise refuse(where, "its `__metadata__` is not a table of text")
    return found


def _tensor(name: str, entry: object, size: int, where: str) -> TensorInfo:
    here = f"{where}: {shown(name)}"
    if not isinstance(entry, dict):
        raise refuse(here, "is not a table")
    offsets = entry.get("data_offsets")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
        raise refuse(here, "its `data_offsets` are not two places in a file")
    start, end = offsets
    expected = tensor_bytes(entry.get("dtype"), entry.get("shape"), here)
    if end - start != expected:
        raise refuse(here, f"its bytes {start} to {end} are not the {expected} of its shape")
    return TensorInfo(name, entry["dtype"], tuple(entry["shape"]), size + start, size + end)


def _check_layout(tensors: Sequence[TensorInfo], size: int, file_size: int, where: str) -> None:
    """Tensors stand one after another and fill the file: no overlap, no hole, nothing behind."""
    reached = size
    for tensor in tensors:
        here = f"{where}: {shown(tensor.name)}"
        if tensor.start < reached:
            raise refuse(here, "overlaps another tensor")
        if tensor.start > reached:
            raise refuse(here, f"there is a hole of {tensor.start - reached} bytes before it")
        reached = tensor.end
        if reached > file_size:
            raise refuse(here, f"truncated: it ends at byte {reached}, the file at {file_size}")
    if reached < file_size:
        raise refuse(where, f"{file_size - reached} bytes at its end belong to no tensor")
