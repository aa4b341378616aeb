"""The arrays of a weights.npz, MLX's first format: their types and shapes, and none of their data.

An .npz is a zip of .npy files: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from .foreign import refuse, shown

if TYPE_CHECKING:
    from numpy import dtype

_MOST_ARRAYS = 1 << 18
_LONGEST_HEADER = 1 << 16
_DTYPES = {
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "bool": "BOOL",
    "|V2": "BF16",  # numpy has no such type; MLX writes it as two raw bytes
}
"""numpy's names, in those of safetensors."""


_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""As numpy writes them. LZMA would take as much memory as it says it needs."""

_DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
    OSError, OverflowError, LookupError, struct.error,
)  # fmt: skip
"""What zipfile raises for bytes that are no zip; the last five, when its offsets lead astray."""


@dataclass(frozen=True, slots=True)
class Array:
    dtype: str
    shape: tuple[int, ...]


def read_arrays(stream: BinaryIO, where: str) -> dict[str, Array]:
    """Arrays by name. Raises IntegrityError for anything that is not such a file."""
    try:
        with zipfile.ZipFile(stream) as archive:
            found = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if len(found) > _MOST_ARRAYS:
                raise refuse(where, f"{len(found)} arrays; at most {_MOST_ARRAYS} are allowed")
            arrays: dict[str, Array] = {}
            for info in found:
                name = info.filename.removesuffix(".npy")
                if name in arrays:
                    raise refuse(where, f"{shown(name)} is in it twice")
                arrays[name] = _array(archive, info, where)
            return arrays
    except _DAMAGED as error:
        raise refuse(where, f"not an .npz file: {shown(str(error))}") from error


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Array:
    name = info.filename
    if info.compress_type not in _PACKED:
        raise refuse(where, f"{shown(name)} is packed in a way that no .npz file is")
    with archive.open(info) as entry:
        # numpy believes the header's own length, up to 4 GB; a zip can promise that in a few bytes.
        start = io.BytesIO(entry.read(_LONGEST_HEADER))
    try:
        shape, dtype = _array_header(start)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise refuse(where, f"{shown(name)} is not an array: {shown(str(error))}") from error
    known = _DTYPES.get(dtype.str if dtype.kind == "V" else dtype.name)
    if known is None:
        raise refuse(where, f"{shown(name)} has the unknown type {shown(str(dtype))}")
    return Array(known, shape)


def _array_header(start: IO[bytes]) -> tuple[tuple[int, ...], dtype[Any]]:
    from numpy.lib import format as npy  # slow to import, and seldom needed

    version = npy.read_magic(start)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(start)
    else:
        shape, _, dtype = npy.read_array_header_2_0(start)
    return shape, dtype
