"""The tensors of a model in safetensors files, as views of the files: nothing is read ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...errors import OTHER_PUBLICATION, REPORT, ToolError
from ..files import weights
from ..listing import local_files
from ..mapping import mapped
from ..packing.floats import FloatArray, FloatName, float32_of_bfloat16
from ..shards import read_safetensors
from .header import TensorInfo, read_header

NUMPY_TYPES: Mapping[str, str] = {
    "BOOL": "|u1",
    "U8": "|u1",
    "I8": "|i1",
    "F8_E4M3": "|u1",
    "F8_E5M2": "|u1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "BF16": "<u2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
}
"""What numpy reads them as. It has no bfloat16, whose bits are kept as uint16, and no 8-bit floats,
which are kept as uint8."""

FLOATS: Mapping[str, FloatName] = {"F16": "float16", "BF16": "bfloat16", "F32": "float32"}
CODES: Mapping[FloatName, str] = {name: code for code, name in FLOATS.items()}


@dataclass(frozen=True, slots=True)
class Stored:
    """`numbers` is a view of the file, of the dtype that NUMPY_TYPES gives for `dtype`."""

    dtype: str
    shape: tuple[int, ...]
    numbers: NDArray[Any]

    def floats(self) -> FloatArray:
        """The numbers of a small float type; bfloat16 as float32. ToolError for other types."""
        if self.dtype not in FLOATS:
            raise ToolError(
                f"numbers of type {self.dtype} where {' or '.join(FLOATS)} should be", hint=REPORT
            )
        return float32_of_bfloat16(self.numbers) if self.dtype == "BF16" else self.numbers


def open_tensors(folder: Path) -> dict[str, Stored]:
    """Every tensor of the model in a folder, by name, whichever of its files has it.

    Raises IntegrityError when a file is damaged, missing, or disagrees with the index, ToolError
    when there are no safetensors, or they have a type that numpy does not have.
    """
    files = local_files(folder)
    chosen = weights(files.sizes)
    if chosen is None or chosen.format != "safetensors":
        raise ToolError(
            "there are no safetensors files in this model",
            hint="name a folder or a repository with *.safetensors as the source",
        )
    read_safetensors(files, chosen)
    found: dict[str, Stored] = {}
    for name in chosen.files:
        octets = mapped(folder / name)
        for info in read_header(folder / name).tensors.values():
            found[info.name] = _stored(info, octets)
    return found


def _stored(info: TensorInfo, octets: NDArray[Any]) -> Stored:
    if info.dtype not in NUMPY_TYPES:
        raise ToolError(
            f"`{info.name}` has the type {info.dtype}, which is not supported",
            hint=OTHER_PUBLICATION,
        )
    numbers = octets[info.start : info.end].view(NUMPY_TYPES[info.dtype]).reshape(info.shape)
    return Stored(info.dtype, info.shape, numbers)
