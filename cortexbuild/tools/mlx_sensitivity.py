"""What each layer of an MLX model costs in each number of bits, and what it takes."""

from __future__ import annotations

import shutil

from ..core.needs import MIB, holding
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from .mlx import engine


class SensitivityParams(Params):
    """There is nothing to set."""


def measure(run: Run, params: SensitivityParams) -> None:  # noqa: ARG001
    """Writes `sensitivity.json` (`quality/sensitivity.py`), and the model's config.json beside."""
    from ..fitting.mlx import estimate
    from ..quality.sensitivity import write_sensitivity

    source = run.inputs["model"]
    write_sensitivity(run.out, estimate(source, run.inputs["curvature"]))
    shutil.copyfile(source / "config.json", run.out / "config.json")


TOOLS = (
    Tool(
        "mlx-sensitivity", Kind.MEASURE, SensitivityParams, measure, revision=1,
        accepts=("mlx",), makes="sensitivity", wants=("curvature",), engine=engine,
        predict=lambda _params, _size: 1 << 20, determinism="best-effort",
        needs=holding(300 * MIB, 1.2, gpu=1),
    ),
)  # fmt: skip
