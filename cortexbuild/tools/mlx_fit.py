"""MLX weights to as many bits as fit: each layer gets the bits that its curvature asks for.

What each choice of bits costs is estimated from the layer's real rounding errors and its
curvature (the tool `curvature`), the best choice within the budget is found exactly
(`quality/allocation.py`), and the layers are then rounded one after another, each for what the
layers before it, rounded already, give to it (`quality/affine.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError
from ..formats.curvature import Curvature, read_curvature
from ..formats.fitting import FitParams, predicted_bytes, weight_budget
from ..formats.safetensors import tensor_bytes, write_header
from ..formats.safetensors_stream import SafetensorsWriter
from ..quality.affine import FEW_SHRINKS, round_alone
from ..quality.allocation import allocate
from ..quality.frontier import Option
from ..runtimes.mlx_matrices import (
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
from ..runtimes.mlx_rounding import rounded
from .mlx import copy_others, engine, refuse_quantized

if TYPE_CHECKING:
    import mlx.nn as nn

NAME = "model.safetensors"
PACKINGS = tuple(Packing(bits, group) for bits in (2, 3, 4, 5, 6, 8) for group in (128, 64, 32))
SAMPLE = 64
"""Rows of a matrix that are rounded to estimate what a packing costs."""

_DIGITS = 2
"""By how many characters the place of a tensor may be longer than in the smallest file."""


class MlxFitParams(FitParams):
    """The layers are rounded for the first `tokens` of the calibration text, in windows."""

    tokens: Annotated[int, Field(ge=64, le=1_000_000)] = 8192
    window: Annotated[int, Field(ge=2, le=65536)] = 512


def fit(run: Run, params: MlxFitParams) -> None:
    from mlx_lm.utils import load_model, load_tokenizer

    source = run.inputs["model"]
    refuse_quantized(json.loads((source / "config.json").read_text()))
    model, config = load_model(source, lazy=True)
    found = matrices(model)
    curvatures = read_curvature(run.inputs["curvature"])
    check_measured(found, curvatures)
    weights = sum(array.size for array in arrays(model).values())
    taken, _ = choose(model, estimate(found, curvatures), weight_budget(params, config, weights))
    windows = _windows(load_tokenizer(source), run, params)
    contents = entries(model, taken)
    with SafetensorsWriter(run.out / NAME, contents, METADATA, run.progress) as file:
        for matrix, packing, coded in rounded(model, taken, found, curvatures, windows):
            append_packed(file, matrix, coded, packing.bits)
        del model, found  # what is left is read again, so that it is not all held until here
        plain = arrays(load_model(source, lazy=True)[0])
        for name in sorted(plain):
            array = plain.pop(name)
            if taken.get(name.removesuffix(".weight")) is None:
                append_plain(file, name, array)
    _write_config(run, config, taken)
    copy_others(run)


def check_measured(found: Sequence[Matrix], curvatures: Mapping[str, Curvature]) -> None:
    for matrix in found:
        if matrix.tensor not in curvatures:
            raise ToolError(f"the curvature of `{matrix.tensor}` was not measured")


Estimates = Mapping[str, Mapping[Packing | None, Option]]
"""By the path of a matrix: what each packing takes, and what it costs. None is to stay as is."""


def estimate(found: Sequence[Matrix], curvatures: Mapping[str, Curvature]) -> Estimates:
    """The real errors of some rows of each matrix, weighted by its curvature."""
    return {matrix.path: _estimate(matrix, curvatures[matrix.tensor]) for matrix in found}


def _estimate(matrix: Matrix, curvature: Curvature) -> Mapping[Packing | None, Option]:
    rows = slice(None, None, -(-matrix.rows // SAMPLE))
    weights, columns = matrix.numbers()[rows], curvature.columns()
    narrow = narrowing(matrix.dtype)
    priced: dict[Packing | None, Option] = {None: Option(_bytes(matrix, None), 0.0)}
    for packing in PACKINGS:
        if matrix.columns % packing.group == 0:
            coded = round_alone(weights, columns, packing.bits, packing.group, narrow, FEW_SHRINKS)
            cost = curvature.cost((coded.numbers() - weights) ** 2, rows)
            priced[packing] = Option(_bytes(matrix, packing), cost)
    return priced


def _bytes(matrix: Matrix, packing: Packing | None) -> int:
    return sum(tensor_bytes(dtype, shape, name) for name, dtype, shape in matrix.entries(packing))


def choose(
    model: nn.Module, estimates: Estimates, budget: int
) -> tuple[dict[str, Packing | None], int]:
    """The packing of each matrix with which the file has at most `budget` bytes, and its bytes,
    to some hundreds. Raises ToolError when there is none.
    """
    paths, options = list(estimates), [list(of.values()) for of in estimates.values()]
    longest = {path: list(of)[-1] if len(of) > 1 else None for path, of in estimates.items()}
    contents = entries(model, longest)
    data = sum(tensor_bytes(dtype, shape, name) for name, dtype, shape in contents)
    header = len(write_header(contents, METADATA)) + 2 * _DIGITS * len(contents)
    beside = header + data - sum(estimates[path][longest[path]].size for path in paths)
    least = beside + sum(min(option.size for option in of) for of in options)
    if least > budget:
        raise ToolError(
            f"the weights would take {least} bytes at least, and the budget leaves {budget}",
            hint="choose a smaller model, a shorter `context`, or more memory",
        )
    found = allocate(options, budget - beside)
    taken = {path: list(estimates[path])[n] for path, n in zip(paths, found.choice, strict=True)}
    return taken, beside + found.size


def _windows(tokenizer: Any, run: Run, params: MlxFitParams) -> list[list[int]]:
    text = "".join(path.read_text() for path in sorted(run.inputs["calibration"].iterdir()))
    tokens = list(tokenizer.encode(text))[: params.tokens]
    window = min(params.window, len(tokens))
    if window < 2:
        raise ToolError("the calibration text is empty", hint="give another `calibration:`")
    starts = range(0, len(tokens) - window + 1, window)
    return [tokens[start : start + window] for start in starts]


def _write_config(run: Run, config: dict[str, Any], taken: Mapping[str, Packing | None]) -> None:
    """mlx-lm takes what is written of a layer, and of others whether they have scales."""
    from mlx_lm.utils import save_config

    packed = {path: {"group_size": it.group, "bits": it.bits} for path, it in taken.items() if it}
    if packed:
        usual = max(packed.values(), key=lambda it: list(packed.values()).count(it))
        config["quantization"] = {**usual, "mode": "affine", **packed}
        config["quantization_config"] = config["quantization"]
    save_config(config, config_path=run.out / "config.json")


TOOLS = (
    Tool(
        "mlx-fit", Kind.QUANTIZE, MlxFitParams, fit, revision=1,
        accepts=("mlx",), makes="mlx", wants=("curvature", "calibration"), engine=engine,
        predict=predicted_bytes,
    ),
)  # fmt: skip
