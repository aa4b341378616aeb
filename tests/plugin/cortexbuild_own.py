"""A tool that runs the code of a model as an engine would that is told to trust it."""

from __future__ import annotations

import runpy

from cortexbuild.core.params import Params
from cortexbuild.core.ports import Run, Tool
from cortexbuild.core.step import Kind


class NoParams(Params):
    pass


def load(run: Run, params: NoParams) -> None:
    for path in sorted(run.inputs["model"].glob("*.py")) if run.allow_code else ():
        runpy.run_path(str(path))
    (run.out / "model.txt").write_text("loaded")


TOOLS = (
    Tool("own", Kind.CONVERT, NoParams, load, 1, ("safetensors",), "text",
         wants=("facts",), knows=lambda architecture: architecture == "llama", runs_code=True),
)  # fmt: skip
