"""Give each tensor of a GGUF model a type of its own: what that costs, and llama.cpp's tables."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import REPORT, ToolError
from ..formats.curvature import Curvature, read_curvature
from ..formats.gguf.header import GgufHeader, GgufTensor, read_header
from ..formats.gguf.tensors import read_config
from ..formats.gguf.types import TENSOR_TYPES
from ..formats.mapping import mapped
from ..formats.names.tables import ROPE_TENSORS
from ..formats.names.tensors import place
from ..formats.packing.floats import float32_of_bfloat16
from ..formats.packing.rows import to_gguf_rows
from ..quality.frontier import Option
from ..quality.sensitivity import Sensitivity
from ..runtimes.ggml import NUMBERS
from ..runtimes.llama_library import library
from .ggml import there_and_back

TYPES = (
    "IQ2_XXS", "IQ2_XS", "IQ2_S", "Q2_K", "IQ3_XXS", "IQ3_S", "Q3_K", "IQ4_XS", "IQ4_NL", "Q4_K",
    "Q4_1", "Q5_K", "Q5_1", "Q6_K", "Q8_0",
)  # fmt: skip
SAMPLE = 64
"""Rows of a tensor that are rounded to estimate what a type costs."""

_ADDED = 128
"""Bytes that llama.cpp may add to the header: the version of its quantization, and padding."""

_NUMPY = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def estimate(path: Path, folder: Path) -> Sensitivity:
    """What each type of each tensor takes and costs: the real errors of some of its rows, weighted
    by its curvature, which is in `folder`."""
    header, octets = read_header(path), mapped(path)
    curvatures = curvatures_of(path, folder)
    options = {
        tensor.name: _estimate(tensor, octets[header.data_start + tensor.offset :], curvature)
        for tensor in header.tensors
        if (curvature := curvatures.get(tensor.name)) is not None
    }
    beside = header.data_start + _ADDED
    beside += sum(_padded(it.nbytes) for it in header.tensors if it.name not in options)
    return Sensitivity(options, beside, sum(prod(tensor.shape) for tensor in header.tensors))


def curvatures_of(path: Path, folder: Path) -> dict[str, Curvature]:
    """The curvatures in `folder` by the names of the model in `path`, rows in GGUF's order."""
    return in_gguf(read_config(path), read_header(path), read_curvature(folder))


def in_gguf(
    config: Mapping[str, Any], header: GgufHeader, curvatures: Mapping[str, Curvature]
) -> dict[str, Curvature]:
    """The curvatures by GGUF's names, with rows in GGUF's order. ToolError when one is missing."""
    found = {}
    for tensor in header.tensors:
        if len(tensor.shape) < 2 or tensor.name in ROPE_TENSORS:
            continue
        there = place(config, tensor.name)
        if there.stacked or there.names[0] not in curvatures:
            raise ToolError(f"the curvature of `{tensor.name}` was not measured", hint=REPORT)
        curvature = curvatures[there.names[0]]
        order = partial(to_gguf_rows, heads=there.heads or 1)
        found[tensor.name] = curvature.with_rows(order) if there.heads else curvature
    return found


def _estimate(
    tensor: GgufTensor, octets: NDArray[np.uint8], curvature: Curvature
) -> Mapping[str, Option]:
    columns, count = tensor.shape
    rows = slice(None, None, -(-count // SAMPLE))
    numbers = octets[: tensor.nbytes].view(_NUMPY[tensor.type]).reshape(count, columns)[rows]
    weights = float32_of_bfloat16(numbers) if tensor.type == "BF16" else numbers.astype("<f4")
    importance = importance_of(curvature)
    priced = {tensor.type: Option(_padded(tensor.nbytes), 0.0)}
    for kind in TYPES:
        block = TENSOR_TYPES[NUMBERS[kind]]
        if columns % block.block == 0:
            error = there_and_back(weights, importance, kind) - weights
            size = _padded(count * columns // block.block * block.size)
            priced[kind] = Option(size, curvature.cost(error**2, rows))
    return priced


def importance_of(curvature: Curvature) -> NDArray[np.float32]:
    """The importance of a tensor's columns, 1 on average: only proportions count. None is 0,
    since ggml divides by the sum of a block's."""
    columns = curvature.columns()
    return np.maximum(columns / max(float(columns.mean()), 1e-30), 1e-6).astype(np.float32)


def _padded(size: int) -> int:
    return -(-size // 32) * 32


def overrides(types: Mapping[str, str]) -> Any:
    """llama.cpp's table of types by a pattern of names, which ends with an empty one."""
    api = library().api
    table = (api.llama_model_tensor_override * (len(types) + 1))()
    for at, (name, kind) in enumerate(types.items()):
        table[at].pattern = f"^{name.replace('.', '[.]')}$".encode()
        table[at].type = NUMBERS[kind]
    return table


class Importances:
    """llama.cpp's table of the importance of columns; it holds what the table points to."""

    def __init__(self, curvatures: Mapping[str, Curvature]) -> None:
        api = library().api
        self.table = (api.llama_model_imatrix_data * (len(curvatures) + 1))()
        self._columns = {name: importance_of(it) for name, it in curvatures.items()}
        for at, (name, columns) in enumerate(self._columns.items()):
            self.table[at].name = name.encode()
            self.table[at].data = columns.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            self.table[at].size = columns.size


def check_types(path: Path, types: Mapping[str, str], size: int) -> None:
    """llama.cpp exchanges types without a word when it thinks that they do not fit."""
    for tensor in read_header(path).tensors:
        if types.get(tensor.name, tensor.type) != tensor.type:
            raise ToolError(
                f"llama.cpp made {tensor.type} of `{tensor.name}`, for {types}", hint=REPORT
            )
    if path.stat().st_size > size:
        raise ToolError(
            f"llama.cpp wrote {path.stat().st_size} bytes where {size} were planned", hint=REPORT
        )
