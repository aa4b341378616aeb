"""GGUF weights to as many bits as fit: each tensor gets the type that its curvature asks for.

What each type costs is estimated from the tensor's real rounding errors, with the importance
matrix that llama.cpp then gets too, and its curvature (`gguf-sensitivity`). The best choice
within the budget is found exactly (`quality/allocation.py`).
"""

from __future__ import annotations

from ..core.ports import Run, Tool
from ..core.step import Kind
from ..formats.fitting import FitParams, predicted_bytes, weight_budget
from .gguf import NAME, QUANTIZER_NEEDS, QuantizeType, engine


class GgufFitParams(FitParams):
    """The settings of FitParams, and no more."""


def fit(run: Run, params: GgufFitParams) -> None:
    from ..fitting.gguf import Importances, check_types, curvatures_of, overrides
    from ..formats.gguf.header import read_header
    from ..formats.gguf.refusing import refuse_quantized
    from ..formats.gguf.tensors import read_config
    from ..quality.sensitivity import NAME as SENSITIVITY
    from ..quality.sensitivity import read_sensitivity
    from ..runtimes.llama_library import gguf_file
    from ..runtimes.llama_quantizer import quantize_file

    source = gguf_file(run.inputs["model"])
    refuse_quantized(read_header(source))
    found = read_sensitivity((run.inputs["gguf-sensitivity"] / SENSITIVITY).read_text())
    types, size = found.choose(weight_budget(params, read_config(source), found.weights))
    draft = run.out / f".{NAME}"
    importances = Importances(curvatures_of(source, run.inputs["curvature"]))
    table, chosen = importances.table, overrides(types)
    quantize_file(source, draft, "Q4_K_M", run.progress, tt_overrides=chosen, imatrix=table)
    check_types(draft, types, size)
    draft.rename(run.out / NAME)


def quantize_weighted(run: Run, type_: QuantizeType) -> None:
    """One of llama.cpp's own mixtures, but with an importance matrix from the curvature."""
    from ..fitting.gguf import Importances, curvatures_of
    from ..runtimes.llama_library import gguf_file
    from ..runtimes.llama_quantizer import quantize_file

    source = gguf_file(run.inputs["model"])
    importances = Importances(curvatures_of(source, run.inputs["curvature"]))
    quantize_file(source, run.out / NAME, type_, run.progress, imatrix=importances.table)


TOOLS = (
    Tool(
        "gguf-fit", Kind.QUANTIZE, GgufFitParams, fit, revision=1,
        accepts=("gguf",), makes="gguf", wants=("gguf-sensitivity", "curvature"), engine=engine,
        predict=predicted_bytes, determinism="best-effort", needs=QUANTIZER_NEEDS,
    ),
)  # fmt: skip
