"""Tools that copy a few KiB, so that what is timed is what is around them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cortexbuild.core.params import Params
from cortexbuild.core.ports import Run, Tool
from cortexbuild.core.step import Kind

HOME = Path(os.environ.get("CORTEX_HOME", "/nonexistent"))
"""What steps are told by a probe lies there: how long to take, and that one is to fail."""


class NoParams(Params):
    pass


class MarkParams(Params):
    mark: str = "v1"


def _copy(run: Run, source: str, name: str, more: str = "") -> None:
    _as_told(more)
    (run.out / name).write_bytes((run.inputs["model"] / source).read_bytes() + more.encode())


def _as_told(mark: str) -> None:
    if (slow := HOME / "slow").exists():
        time.sleep(float(slow.read_text()))
    if (failing := HOME / "fail").exists() and failing.read_text() == mark:
        raise ValueError("told to fail")


def convert(run: Run, _: NoParams) -> None:
    _copy(run, "model.safetensors", "model.bin")


def quantize(run: Run, params: MarkParams) -> None:
    _copy(run, "model.bin", "model.bin", params.mark)


def validate(run: Run, _: NoParams) -> None:
    _as_told("")
    (run.out / "measures.json").write_text("{}")


TOOLS = (
    Tool("copy", Kind.CONVERT, NoParams, convert, 1, ("safetensors",), "copy",
         reads={"model": ("model.safetensors",)}, wants=("facts",)),
    Tool("copy", Kind.QUANTIZE, MarkParams, quantize, 1, ("copy",), "copy"),
    Tool("copy", Kind.VALIDATE, NoParams, validate, 1, ("copy",), "measures"),
)  # fmt: skip
