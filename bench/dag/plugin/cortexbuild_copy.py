"""Tools that copy a few KiB, so that what is timed is what is around them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cortexbuild.core.params import Params
from cortexbuild.core.ports import Run, Tool
from cortexbuild.core.step import Kind

HOME = Path(os.environ.get("CORTEX_HOME", "/nonexistent"))
"""A probe lays down there how long each step is to take, and which is to fail."""


class NoParams(Params):
    pass


class MarkParams(Params):
    mark: str = ""


def convert(run: Run, _: NoParams) -> None:
    _write(run, "model.bin", (run.inputs["model"] / "model.safetensors").read_bytes())


def quantize(run: Run, params: MarkParams) -> None:
    if (fail := HOME / "fail").exists() and fail.read_text() == params.mark:
        raise ValueError("told to fail")
    content = (run.inputs["model"] / "model.bin").read_bytes() + params.mark.encode()
    _write(run, "model.bin", content)


def validate(run: Run, _: NoParams) -> None:
    _write(run, "measures.json", b"{}")


def _write(run: Run, name: str, content: bytes) -> None:
    half = len(content) // 2
    with (run.out / name).open("wb") as file:
        file.write(content[:half])
        if (slow := HOME / "slow").exists():
            file.flush()
            time.sleep(float(slow.read_text()))
        file.write(content[half:])


TOOLS = (
    Tool("copy", Kind.CONVERT, NoParams, convert, 1, ("safetensors",), "copy",
         reads={"model": ("model.safetensors",)}, wants=("facts",)),
    Tool("copy", Kind.QUANTIZE, MarkParams, quantize, 1, ("copy",), "copy"),
    Tool("copy", Kind.VALIDATE, NoParams, validate, 1, ("copy",), "measures"),
)  # fmt: skip
