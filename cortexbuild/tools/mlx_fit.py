"""MLX weights to as many bits as fit: each layer gets the bits that its curvature asks for.

What each choice of bits costs is estimated from the layer's real rounding errors and its
curvature (`mlx-sensitivity`), the best choice within the budget is found exactly
(`quality/allocation.py`), and the layers are then rounded one after another, each for what the
layers before it, rounded already, give to it (`quality/affine.py`).
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field

from ..core.needs import MIB, holding
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError
from ..formats.fitting import FitParams, predicted_bytes, weight_budget
from .curvature import calibration_text
from .mlx import copy_others, engine, refuse_quantized


class MlxFitParams(FitParams):
    """The layers are rounded for the first `tokens` of the calibration text, in windows."""

    tokens: Annotated[int, Field(ge=64, le=1_000_000)] = 8192
    window: Annotated[int, Field(ge=2, le=65536)] = 512


def fit(run: Run, params: MlxFitParams) -> None:
    from mlx_lm.utils import load_tokenizer, save_config

    from ..fitting.mlx import pack
    from ..quality.sensitivity import NAME, read_sensitivity

    source = run.inputs["model"]
    config = json.loads((source / "config.json").read_text())
    refuse_quantized(config)
    found = read_sensitivity((run.inputs["mlx-sensitivity"] / NAME).read_text())
    names, _ = found.choose(weight_budget(params, config, found.weights))
    windows = _windows(load_tokenizer(source), run, params)
    config = pack(source, run.output, names, run.inputs["curvature"], windows, run.progress)
    save_config(config, config_path=run.out / "config.json")
    copy_others(run)


def _windows(tokenizer: Any, run: Run, params: MlxFitParams) -> list[list[int]]:
    text = calibration_text(run.inputs["calibration"])
    tokens = list(tokenizer.encode(text))[: params.tokens]
    window = min(params.window, len(tokens))
    if window < 2:
        raise ToolError("the calibration text is empty", hint="give another `calibration:`")
    starts = range(0, len(tokens) - window + 1, window)
    return [tokens[start : start + window] for start in starts]


TOOLS = (
    Tool(
        "mlx-fit", Kind.QUANTIZE, MlxFitParams, fit, revision=2,
        accepts=("mlx",), makes="mlx", wants=("mlx-sensitivity", "curvature", "calibration"),
        engine=engine, predict=predicted_bytes, determinism="best-effort",
        needs=holding(850 * MIB, 2.5, gpu=1),
    ),
)  # fmt: skip
