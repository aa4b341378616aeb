"""Pack each matrix of a model of mlx-lm in bits of its own: what that costs, and how it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.ports import Output, Progress
from ..errors import REPORT, ToolError
from ..formats.curvature import Curvature, read_curvature
from ..formats.safetensors.header import tensor_bytes, write_header
from ..formats.safetensors.shards import Shard
from ..formats.safetensors.stream import SafetensorsWriter
from ..quality.affine import FEW_SHRINKS, round_alone
from ..quality.frontier import Option
from ..quality.sensitivity import Sensitivity
from .matrices import (
    METADATA,
    Matrix,
    Packing,
    append_packed,
    append_plain,
    arrays,
    entries,
    matrices,
    narrowing,
)
from .rounding import rounded

NAME = "model.safetensors"
PACKINGS = tuple(Packing(bits, group) for bits in (2, 3, 4, 5, 6, 8) for group in (128, 64, 32))
SAMPLE = 64
"""Rows of a matrix that are rounded to estimate what a packing costs."""

PLAIN = "16"
"""The name of being left as it is."""

_DIGITS = 2
"""By how many characters the place of a tensor may be longer than in the smallest file."""


def estimate(source: Path, curvature: Path) -> Sensitivity:
    """What each packing of each matrix takes and costs: the real errors of some of its rows,
    weighted by its curvature."""
    from mlx_lm.utils import load_model

    model, _ = load_model(source, lazy=True)
    curvatures, found = read_curvature(curvature), matrices(model)
    _check_measured(found, curvatures)
    options = {matrix.path: _options(matrix, curvatures[matrix.tensor]) for matrix in found}
    smallest = {path: _packing(list(of)[-1]) for path, of in options.items()}
    contents = entries(model, smallest)
    data = sum(tensor_bytes(dtype, shape, name) for name, dtype, shape in contents)
    header = len(write_header(contents, METADATA)) + 2 * _DIGITS * len(contents)
    chosen = sum(_bytes(matrix, smallest[matrix.path]) for matrix in found)
    weights = sum(array.size for array in arrays(model).values())
    return Sensitivity(options, header + data - chosen, weights)


def pack(
    source: Path,
    output: Output,
    names: Mapping[str, str],
    curvature: Path,
    windows: Sequence[Sequence[int]],
    progress: Progress,
) -> dict[str, Any]:
    """Write the model's weights with each matrix in the packing of that name, rounded for the
    `windows` of token ids. Gives the config.json that belongs to them."""
    from mlx_lm.utils import load_model

    model, config = load_model(source, lazy=True)
    taken = {path: _packing(name) for path, name in names.items()}
    found, curvatures = matrices(model), read_curvature(curvature)
    _check_measured(found, curvatures)
    contents = entries(model, taken)
    with SafetensorsWriter(output, [Shard(NAME, tuple(contents))], METADATA, progress) as file:
        for matrix, packing, coded in rounded(model, taken, found, curvatures, windows):
            append_packed(file, matrix, coded, packing.bits)
        del model, found  # what is left is read again, so that it is not all held until here
        plain = arrays(load_model(source, lazy=True)[0])
        for name in sorted(plain):
            array = plain.pop(name)
            if taken.get(name.removesuffix(".weight")) is None:
                append_plain(file, name, array)
    return _configured(config, taken)


def _check_measured(found: Sequence[Matrix], curvatures: Mapping[str, Curvature]) -> None:
    for matrix in found:
        if matrix.tensor not in curvatures:
            raise ToolError(f"the curvature of `{matrix.tensor}` was not measured", hint=REPORT)


def _options(matrix: Matrix, curvature: Curvature) -> Mapping[str, Option]:
    rows = slice(None, None, -(-matrix.rows // SAMPLE))
    weights, columns = matrix.numbers()[rows], curvature.columns()
    narrow = narrowing(matrix.dtype)
    priced = {PLAIN: Option(_bytes(matrix, None), 0.0)}
    for packing in PACKINGS:
        if matrix.columns % packing.group == 0:
            coded = round_alone(weights, columns, packing.bits, packing.group, narrow, FEW_SHRINKS)
            cost = curvature.cost((coded.numbers() - weights) ** 2, rows)
            priced[f"{packing.bits}g{packing.group}"] = Option(_bytes(matrix, packing), cost)
    return priced


def _packing(name: str) -> Packing | None:
    if name == PLAIN:
        return None
    bits, _, group = name.partition("g")
    return Packing(int(bits), int(group))


def _bytes(matrix: Matrix, packing: Packing | None) -> int:
    return sum(tensor_bytes(dtype, shape, name) for name, dtype, shape in matrix.entries(packing))


def _configured(config: dict[str, Any], taken: Mapping[str, Packing | None]) -> dict[str, Any]:
    """mlx-lm takes what is written of a layer, and of others whether they have scales."""
    packed = {path: {"group_size": it.group, "bits": it.bits} for path, it in taken.items() if it}
    if packed:
        usual = max(packed.values(), key=lambda it: list(packed.values()).count(it))
        config["quantization"] = {**usual, "mode": "affine", **packed}
        config["quantization_config"] = config["quantization"]
    return config
