"""GGUF weights to as many bits as fit: each tensor gets the type that its curvature asks for.

What each type costs is estimated from the tensor's real rounding errors, with the importance
matrix that llama.cpp then gets too, and its curvature (the tool `curvature`). The best choice
within the budget is found exactly (`quality/allocation.py`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError
from ..formats.curvature import Curvature, read_curvature
from ..formats.fitting import FitParams, predicted_bytes, weight_budget
from ..formats.gguf import GgufHeader, GgufTensor, read_header
from ..formats.gguf_tensors import read_config
from ..formats.gguf_types import TENSOR_TYPES
from ..formats.names import place
from ..formats.names_tables import ROPE_TENSORS
from ..formats.packing_floats import float32_of_bfloat16
from ..formats.packing_rows import to_gguf_rows
from ..quality.allocation import allocate
from ..quality.frontier import Option
from ..runtimes.ggml import NUMBERS, there_and_back
from ..runtimes.llama_library import gguf_file, library
from .gguf import NAME, engine, quantize_file, refuse_quantized

TYPES = (
    "IQ2_XXS", "IQ2_XS", "IQ2_S", "Q2_K", "IQ3_XXS", "IQ3_S", "Q3_K", "IQ4_XS", "IQ4_NL", "Q4_K",
    "Q4_1", "Q5_K", "Q5_1", "Q6_K", "Q8_0",
)  # fmt: skip
SAMPLE = 64
"""Rows of a tensor that are rounded to estimate what a type costs."""

_ADDED = 128
"""Bytes that llama.cpp may add to the header: the version of its quantization, and padding."""

_NUMPY = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}

Estimates = Mapping[str, Mapping[str, Option]]
"""By tensor and type: what it takes in the file, and what it costs."""


class GgufFitParams(FitParams):
    """The settings of FitParams, and no more."""


def fit(run: Run, params: GgufFitParams) -> None:
    source = gguf_file(run.inputs["model"])
    header = read_header(source)
    refuse_quantized(header)
    config = read_config(source)
    curvatures = in_gguf(config, header, read_curvature(run.inputs["curvature"]))
    weights = sum(prod(tensor.shape) for tensor in header.tensors)
    types, size = choose(
        header, estimate(source, header, curvatures), weight_budget(params, config, weights)
    )
    draft = run.out / f".{NAME}"
    wanted, importances = _overrides(types), Importances(curvatures)
    quantize_file(run, source, draft, "Q4_K_M", tt_overrides=wanted, imatrix=importances.table)
    _check(draft, types, size)
    draft.rename(run.out / NAME)


def quantize_weighted(run: Run, type_: str) -> None:
    """One of llama.cpp's own mixtures, but with an importance matrix from the curvature."""
    source = gguf_file(run.inputs["model"])
    header = read_header(source)
    curvatures = read_curvature(run.inputs["curvature"])
    importances = Importances(in_gguf(read_config(source), header, curvatures))
    quantize_file(run, source, run.out / NAME, type_, imatrix=importances.table)


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
            raise ToolError(f"the curvature of `{tensor.name}` was not measured")
        curvature = curvatures[there.names[0]]
        order = partial(to_gguf_rows, heads=there.heads or 1)
        found[tensor.name] = curvature.with_rows(order) if there.heads else curvature
    return found


def estimate(path: Path, header: GgufHeader, curvatures: Mapping[str, Curvature]) -> Estimates:
    """The real errors of some rows of each tensor, weighted by its curvature."""
    octets = np.memmap(path, np.uint8, "r")
    return {
        tensor.name: _estimate(tensor, octets[header.data_start + tensor.offset :], curvature)
        for tensor in header.tensors
        if (curvature := curvatures.get(tensor.name)) is not None
    }


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


def choose(header: GgufHeader, estimates: Estimates, budget: int) -> tuple[dict[str, str], int]:
    """The type of each tensor with which the file has at most `budget` bytes, and its bytes, to
    some dozens. Raises ToolError when there is none."""
    names, options = list(estimates), [list(of.values()) for of in estimates.values()]
    beside = header.data_start + _ADDED
    beside += sum(_padded(it.nbytes) for it in header.tensors if it.name not in estimates)
    least = beside + sum(min(option.size for option in of) for of in options)
    if least > budget:
        raise ToolError(
            f"the weights would take {least} bytes at least, and the budget leaves {budget}",
            hint="choose a smaller model, a shorter `context`, or more memory",
        )
    found = allocate(options, budget - beside)
    types = {name: list(estimates[name])[n] for name, n in zip(names, found.choice, strict=True)}
    return types, beside + found.size


def _padded(size: int) -> int:
    return -(-size // 32) * 32


def _overrides(types: Mapping[str, str]) -> Any:
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


def _check(path: Path, types: Mapping[str, str], size: int) -> None:
    """llama.cpp exchanges types without a word when it thinks that they do not fit."""
    for tensor in read_header(path).tensors:
        if types.get(tensor.name, tensor.type) != tensor.type:
            raise ToolError(f"llama.cpp made {tensor.type} of `{tensor.name}`, for {types}")
    if path.stat().st_size > size:
        raise ToolError(f"llama.cpp wrote {path.stat().st_size} bytes where {size} were planned")


TOOLS = (
    Tool(
        "gguf-fit", Kind.QUANTIZE, GgufFitParams, fit, revision=1,
        accepts=("gguf",), makes="gguf", wants=("curvature",), engine=engine,
        predict=predicted_bytes,
    ),
)  # fmt: skip
