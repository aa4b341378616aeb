"""The tools of tests/plugin in their plainest form. Never to be changed: the stores that are kept
here were made with these settings, and with others they would have to be made again."""

from __future__ import annotations

import json

from cortexbuild.core.params import Params
from cortexbuild.core.ports import Run, Tool
from cortexbuild.core.step import Kind


class JoinParams(Params):
    pass


class CutParams(Params):
    keep: int = 4


class CheckParams(Params):
    longest: int = 99


def join(run: Run, params: JoinParams) -> None:
    config = json.loads((run.inputs["model"] / "config.json").read_text())
    (run.out / "model.txt").write_text(str(config["text"]).upper())


def cut(run: Run, params: CutParams) -> None:
    text = (run.inputs["model"] / "model.txt").read_text()
    (run.out / "model.txt").write_text(text[: params.keep])


def check(run: Run, params: CheckParams) -> None:
    long = len((run.inputs["model"] / "model.txt").read_text()) > params.longest
    (run.out / "measures.json").write_text(json.dumps({"nonfinite_logits": int(long)}))


def version() -> dict[str, str]:
    return {"text": "1.0"}


TOOLS = (
    Tool("text", Kind.CONVERT, JoinParams, join, 1, ("safetensors",), "text",
         reads={"model": ("config.json",)}, wants=("facts",), engine=version),
    Tool("text", Kind.QUANTIZE, CutParams, cut, 1, ("text",), "text", engine=version),
    Tool("text", Kind.VALIDATE, CheckParams, check, 1, ("text",), "measures", engine=version),
)  # fmt: skip
