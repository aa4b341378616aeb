"""The example model by each fixed recipe of mlx-lm and llama.cpp, and by ours."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from running import MODEL

from cortexbuild.core.ports import Run
from cortexbuild.testing import plain_run
from cortexbuild.tools import (
    curvature,
    gguf,
    gguf_fit,
    gguf_sensitivity,
    mlx,
    mlx_fit,
    mlx_sensitivity,
)

MODES = {"mxfp4": (32, 4), "nvfp4": (16, 4), "mxfp8": (32, 8)}
MIXED = ("mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6")
K_QUANTS = (
    "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "IQ3_S", "IQ4_XS", "IQ4_NL", "Q4_K_S", "Q4_K_M",
    "Q5_K_S", "Q5_K_M", "Q6_K",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Start:
    """What every recipe begins with: folders."""

    work: Path
    mlx: Path
    gguf: Path
    curvature: Path
    calibration: Path
    mlx_sensitivity: Path
    gguf_sensitivity: Path


Recipe = Callable[[Start, Path], None]
"""Fills a folder."""


def prepare(work: Path, text: Path, toolchain: Path) -> Start:
    folders = {field.name: work / field.name for field in fields(Start)[1:]}
    for folder in folders.values():
        folder.mkdir()
    start = Start(work, **folders)
    shutil.copy(text, start.calibration)
    mlx.convert(_run(start.mlx, model=MODEL), mlx.ConvertParams())
    curvature.measure(
        _run(start.curvature, model=MODEL, calibration=start.calibration),
        curvature.CurvatureParams(),
    )
    converter = toolchain / "convert_hf_to_gguf.py"
    out = start.gguf / gguf.NAME
    argv = [sys.executable, str(converter), str(MODEL), "--outfile", str(out), "--outtype", "bf16"]
    subprocess.run(argv, check=True, capture_output=True)
    for tool, model, folder in (
        (mlx_sensitivity, start.mlx, start.mlx_sensitivity),
        (gguf_sensitivity, start.gguf, start.gguf_sensitivity),
    ):
        tool.measure(_run(folder, model=model, curvature=start.curvature), tool.SensitivityParams())
    return start


def build(start: Start, recipe: Recipe) -> Path:
    """The folder that a recipe fills: a new one."""
    out = start.work / "built"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    with contextlib.redirect_stdout(io.StringIO()):
        recipe(start, out)
    return out


def fixed_mlx(quick: bool) -> dict[str, Recipe]:
    found: dict[str, Recipe] = {}
    for bits in (2, 3, 4, 5, 6, 8):
        for group in (64,) if quick else (128, 64, 32):
            params = mlx.QuantizeParams(bits=bits, group_size=group)
            found[f"{bits} bits, groups of {group}"] = partial(_affine, params)
    for name in MIXED:
        found[name] = partial(_affine, mlx.QuantizeParams(mixed=name, group_size=64))
    for name in MODES:
        found[name] = partial(_mode, name)
    return found


def fixed_gguf(quick: bool) -> dict[str, Recipe]:
    found: dict[str, Recipe] = {}
    for name in K_QUANTS:
        found[name] = partial(_k_quant, name, False)
        if not quick:
            found[f"{name}, importance matrix"] = partial(_k_quant, name, True)
    return found


def fit_mlx(bits: float) -> Recipe:
    def fill(start: Start, out: Path) -> None:
        inputs = {name: getattr(start, name) for name in ("curvature", "calibration")}
        inputs |= {"model": start.mlx, "mlx-sensitivity": start.mlx_sensitivity}
        mlx_fit.fit(_run(out, **inputs), mlx_fit.MlxFitParams(bits=bits))

    return fill


def fit_gguf(bits: float) -> Recipe:
    def fill(start: Start, out: Path) -> None:
        inputs = {"model": start.gguf, "curvature": start.curvature}
        inputs["gguf-sensitivity"] = start.gguf_sensitivity
        gguf_fit.fit(_run(out, **inputs), gguf_fit.GgufFitParams(bits=bits))

    return fill


FITS = (fit_mlx, fit_gguf)


def _affine(params: mlx.QuantizeParams, start: Start, out: Path) -> None:
    mlx.quantize(_run(out, model=start.mlx), params)


def _mode(name: str, start: Start, out: Path) -> None:
    from mlx_lm.convert import convert

    group, bits = MODES[name]
    out.rmdir()
    convert(str(start.mlx), str(out), quantize=True, q_group_size=group, q_bits=bits, q_mode=name)


def _k_quant(name: str, weighted: bool, start: Start, out: Path) -> None:
    run = _run(out, model=start.gguf, curvature=start.curvature)
    if weighted:
        gguf_fit.quantize_weighted(run, name)
    else:
        gguf.quantize(run, gguf.QuantizeParams(type=name))


def _run(out: Path, **inputs: Path) -> Run:
    return plain_run(inputs, out)
