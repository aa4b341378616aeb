"""Check that fetched weights are of the format they were pinned as, and write down what they are.

A step that must run waits for this one, so a truncated or hostile file stops a build before
anything reads its tensors.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..core.needs import PROCESS, Needs
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError

FORMATS = ("gguf", "mlx", "safetensors", "pytorch", "quantized", "adapter", "incomplete", "unknown")


class DetectParams(Params):
    """`format` is what the source was pinned as."""

    format: str


def detect(run: Run, params: DetectParams) -> None:
    from ..formats.detection import detect as detect_format  # planning does without it

    facts = detect_format(_place(run.inputs["model"]))
    if facts.format != params.format:
        raise ToolError(
            f"pinned as {params.format}, but the files are {facts.format}",
            hint="`cortexbuild lock --upgrade` looks at the files anew",
        )
    text = json.dumps({**facts.to_plain(), "name": ""}, indent=1, sort_keys=True)
    (run.out / "facts.json").write_text(text + "\n")


def _place(folder: Path) -> Path:
    """A source of one file is looked at as that file."""
    files = list(folder.iterdir())
    return files[0] if len(files) == 1 else folder


TOOLS = (
    Tool(
        "detect", Kind.DETECT, DetectParams, detect, revision=2, accepts=FORMATS, makes="facts",
        predict=lambda _params, _size: 1000, needs=lambda _params, _sizes: Needs(PROCESS),
    ),
)  # fmt: skip
