"""The matrices of a model of mlx-lm, and a file of its weights in which some of them are packed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ToolError
from ..formats.packing.floats import bfloat16_of_float32, float32_of_bfloat16
from ..formats.packing.words import pack_codes
from ..formats.safetensors.shards import Entry
from ..formats.safetensors.stream import SafetensorsWriter
from ..quality.affine import Coded

if TYPE_CHECKING:
    import mlx.core as mx
    import mlx.nn as nn

METADATA = {"format": "mlx"}


@dataclass(frozen=True, slots=True)
class Packing:
    """Bits of a code, and how many weights share a scale and a bias."""

    bits: int
    group: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """`dtype` is the one of its numbers, as safetensors calls it; scales and biases keep it."""

    path: str
    module: nn.Module
    rows: int
    columns: int
    dtype: str

    @property
    def tensor(self) -> str:
        return f"{self.path}.weight"

    def numbers(self) -> NDArray[np.float32]:
        """(rows, columns)"""
        return floats(self.module.weight)

    def entries(self, packing: Packing | None) -> tuple[Entry, ...]:
        """The tensors it is kept in: one, or codes, scales and biases."""
        if packing is None:
            return ((self.tensor, self.dtype, (self.rows, self.columns)),)
        words = (self.rows, self.columns * packing.bits // 32)
        groups = (self.rows, self.columns // packing.group)
        return (
            (self.tensor, "U32", words),
            (f"{self.path}.scales", self.dtype, groups),
            (f"{self.path}.biases", self.dtype, groups),
        )


def matrices(model: nn.Module) -> list[Matrix]:
    """Those that mlx-lm quantizes. ToolError for a kind of layer that is not a plain matrix."""
    found = []
    for path, module in model.named_modules():
        if not hasattr(module, "to_quantized"):
            continue
        if module.weight.ndim != 2:
            raise ToolError(
                f"`{path}` is a stack of matrices, which cannot be fitted",
                hint="choose a recipe with fixed bits: `cortexbuild recipes`",
            )
        rows, columns = module.weight.shape
        found.append(Matrix(path, module, rows, columns, _code(module.weight)))
    return sorted(found, key=lambda matrix: matrix.path)


def arrays(model: nn.Module) -> dict[str, mx.array]:
    """All weights, by name."""
    from mlx.utils import tree_flatten

    return dict(tree_flatten(model.parameters()))


def floats(array: mx.array) -> NDArray[np.float32]:
    import mlx.core as mx

    found: NDArray[np.float32] = np.array(array.astype(mx.float32))
    return found


def narrowing(dtype: str) -> Callable[[Any], Any]:
    """Rounds numbers to those of a dtype, as float32 or float64."""
    if dtype == "BF16":
        return lambda x: float32_of_bfloat16(bfloat16_of_float32(x.astype(np.float32)))
    kept = np.float16 if dtype == "F16" else np.float32
    return lambda x: x.astype(kept).astype(np.float32)


def entries(model: nn.Module, taken: Mapping[str, Packing | None]) -> list[Entry]:
    """The tensors of the model's file, by name. `taken` is by the path of a matrix."""
    packed = {matrix.tensor: matrix for matrix in matrices(model)}
    found: list[Entry] = []
    for name, array in sorted(arrays(model).items()):
        if matrix := packed.get(name):
            found += matrix.entries(taken[matrix.path])
        else:
            found.append((name, _code(array), tuple(array.shape)))
    return found


def append_packed(file: SafetensorsWriter, matrix: Matrix, coded: Coded, bits: int) -> None:
    file.append(matrix.tensor, pack_codes(coded.codes, bits))
    file.append(f"{matrix.path}.scales", coded.scales.astype(np.float32))
    file.append(f"{matrix.path}.biases", coded.biases.astype(np.float32))


def append_plain(file: SafetensorsWriter, name: str, array: mx.array) -> None:
    """A tensor as it is, bit for bit."""
    import mlx.core as mx

    bits = array.view(mx.uint16) if array.dtype == mx.bfloat16 else array
    file.append(name, np.array(bits))


def _code(array: mx.array) -> str:
    import mlx.core as mx

    codes = {mx.bfloat16: "BF16", mx.float16: "F16", mx.float32: "F32"}
    if array.dtype not in codes:
        raise ToolError(
            f"weights of type {array.dtype} cannot be fitted",
            hint="choose a recipe with fixed bits: `cortexbuild recipes`",
        )
    return codes[array.dtype]
