"""What each tensor of a GGUF model costs in each of llama.cpp's types, and what it takes."""

from __future__ import annotations

import json

from ..core.needs import MIB, holding
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from .gguf import engine


class SensitivityParams(Params):
    """There is nothing to set."""


def measure(run: Run, params: SensitivityParams) -> None:  # noqa: ARG001
    """Writes `sensitivity.json` (`quality/sensitivity.py`), and the model's configuration."""
    from ..fitting.gguf import estimate
    from ..formats.gguf.tensors import read_config
    from ..quality.sensitivity import write_sensitivity
    from ..runtimes.llama_library import gguf_file

    source = gguf_file(run.inputs["model"])
    write_sensitivity(run.out, estimate(source, run.inputs["curvature"]))
    (run.out / "config.json").write_text(json.dumps(read_config(source), indent=1) + "\n")


TOOLS = (
    Tool(
        "gguf-sensitivity", Kind.MEASURE, SensitivityParams, measure, revision=1,
        accepts=("gguf",), makes="sensitivity", wants=("curvature",), engine=engine,
        predict=lambda _params, _size: 1 << 20, determinism="best-effort",
        needs=holding(100 * MIB, 1),
    ),
)  # fmt: skip
