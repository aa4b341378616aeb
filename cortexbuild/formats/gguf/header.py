"""The header of a GGUF file: its metadata, which tensors, and where. Reads no tensor.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Whatever llama.cpp would
refuse is refused here too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from ..foreign import refuse, shown
from .stream import SMALLEST_FIELD, Reader, Value, read_value
from .types import FALLBACK, FILE_TYPES, GUESSED_FILE_TYPE, TENSOR_TYPES

MAGIC = b"GGUF"

_MOST_FIELDS, _MOST_TENSORS = 1 << 16, 1 << 18  # a hundred times what the largest files have
_MOST_DIMENSIONS = 4
_MOST_VALUES = 2**63
ALIGNMENT = 32
_SMALLEST_TENSOR = 24


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """`shape` as the file has it: the width of a row first. `offset` counts from `data_start`."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """`data_start` is the byte in the file where the tensors begin, a multiple of `alignment`.

    Text in `fields` that is not Unicode (some vocabularies have it) is kept with surrogate
    escapes: `text.encode(errors="surrogateescape")` gives the bytes back.
    """

    version: int
    fields: Mapping[str, Value]
    tensors: tuple[GgufTensor, ...]
    alignment: int
    data_start: int


def read_header(path: Path, *, keep_arrays: bool = False) -> GgufHeader:
    """Read the header of a file. Raises IntegrityError when anything about it is wrong."""
    with path.open("rb") as stream:
        size = path.stat().st_size
        return read_header_from(stream, size, path.name, keep_arrays=keep_arrays)


def read_header_from(
    stream: BinaryIO, file_size: int, where: str, *, keep_arrays: bool = False
) -> GgufHeader:
    """The same from a buffered stream at its beginning, which may be a remote file."""
    reader = Reader(stream, file_size, where)
    version = _version(reader)
    tensor_count = reader.count(_SMALLEST_TENSOR, most=_MOST_TENSORS)
    field_count = reader.count(SMALLEST_FIELD, most=_MOST_FIELDS)
    fields: dict[str, Value] = {}
    for _ in range(field_count):
        key = reader.name()
        if key in fields:
            raise reader.refuse(f"the field {shown(key)} stands twice")
        fields[key] = read_value(reader, keep_arrays=keep_arrays)
    tensors = tuple(_tensor(reader) for _ in range(tensor_count))
    alignment = _alignment(fields, reader)
    data_start = reader.place + -reader.place % alignment
    _check_layout(tensors, alignment, file_size - data_start, where)
    return GgufHeader(version, fields, tensors, alignment, data_start)


def quantization_name(header: GgufHeader) -> str:
    """How the weights are stored: `Q4_K_M`, `IQ4_XS`, `FP16`, `FP32`, `BF16` …, `none` without any.

    The file type's name when most bytes of the weights have a type that goes with it. Otherwise
    the file type is wrong or missing, and the name is that of this type.
    """
    main = _main_type(header.tensors)
    declared = header.fields.get("general.file_type")
    known = FILE_TYPES.get(declared & ~GUESSED_FILE_TYPE) if isinstance(declared, int) else None
    if known and (main is None or main.name in known.types or main.replaces(known.types)):
        name = known.name.partition("_")[2]
    else:
        name = main.name if main else "none"
    return {"F16": "FP16", "F32": "FP32"}.get(name, name)


@dataclass(frozen=True, slots=True)
class _MainType:
    name: str
    narrow: bool

    def replaces(self, types: tuple[str, ...]) -> bool:
        return self.narrow and any(self.name in FALLBACK.get(type_, ()) for type_ in types)


def _main_type(tensors: tuple[GgufTensor, ...]) -> _MainType | None:
    weights = [tensor for tensor in tensors if len(tensor.shape) > 1]
    # Tables of tokens are stored finer than the rest, and in a small model they are the most of it.
    inner = [t for t in weights if not t.name.startswith(("token_embd.", "output."))] or weights
    sizes: Counter[str] = Counter()
    for tensor in inner:
        sizes[tensor.type] += tensor.nbytes
    if not sizes:
        return None
    name = max(sizes, key=lambda type_: (sizes[type_], type_))
    narrow = any(tensor.shape[0] % 256 for tensor in inner if tensor.type == name)
    return _MainType(name, narrow)


def _version(reader: Reader) -> int:
    start = reader.take(4)
    if start != MAGIC:
        what = f"not GGUF: it starts with {shown(start.decode('latin-1'))}"
        raise refuse(reader.where, what, start=start)
    version = reader.number(4)
    if version in (2, 3):
        return version
    if version in (2 << 24, 3 << 24):
        hint = "convert it on a little-endian machine, or with gguf_convert_endian.py of gguf-py"
        raise refuse(reader.where, "is a big-endian GGUF file, which cannot be used", hint=hint)
    hint = "convert the model again with a current llama.cpp"
    raise refuse(reader.where, f"GGUF version {version}; only 2 and 3 are known", hint=hint)


def _tensor(reader: Reader) -> GgufTensor:
    name = reader.name()
    rank = reader.number(4)
    if rank > _MOST_DIMENSIONS:
        raise reader.refuse(f"{shown(name)} has {rank} dimensions; at most 4 are allowed")
    shape = tuple(reader.number(8) for _ in range(rank))
    kind, offset = reader.number(4), reader.number(8)
    if kind not in TENSOR_TYPES:
        hint = "it needs a newer cortexbuild, or has a type that llama.cpp no longer reads"
        raise refuse(reader.where, f"{shown(name)} has the unknown type {kind}", hint=hint)
    form, values = TENSOR_TYPES[kind], prod(shape)
    if values >= _MOST_VALUES or (shape and shape[0] % form.block):
        raise reader.refuse(f"{shown(name)} of type {form.name} cannot have the shape {shape}")
    if not shape and form.block > 1:
        raise reader.refuse(f"{shown(name)} of type {form.name} has no shape")
    return GgufTensor(name, form.name, shape, offset, values // form.block * form.size)


def _alignment(fields: Mapping[str, Value], reader: Reader) -> int:
    found = fields.get("general.alignment", ALIGNMENT)
    if type(found) is not int or not 0 < found <= 1 << 20 or found & (found - 1):
        raise reader.refuse(f"{shown(str(found))} is no alignment")
    return found


def _check_layout(tensors: tuple[GgufTensor, ...], alignment: int, room: int, where: str) -> None:
    """Tensors stand one after another, each padded to the alignment, and end within the file."""
    names: set[str] = set()
    reached = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.offset, tensor.nbytes)):
        here = f"{where}: {shown(tensor.name)}"
        if tensor.name in names:
            raise refuse(here, "stands twice")
        names.add(tensor.name)
        if tensor.offset != reached:
            fault = "overlaps another tensor" if tensor.offset < reached else "follows on a hole"
            raise refuse(here, f"{fault}: it begins at {tensor.offset}, not at {reached}")
        end = tensor.offset + tensor.nbytes
        if end > room:
            raise refuse(here, f"truncated: it ends {end - room} bytes behind the end of the file")
        reached = end + -end % alignment
