"""Tools of another package: "models" that are texts, so that a sync takes milliseconds.

Installed as any plug-in is, by an entry point; the stories in tests/app use it. `sleep` and
`fail` in their settings let a test hold a step, until its home has a file `go`, or break it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from cortexbuild.core.needs import GIB, PROCESS, Needs
from cortexbuild.core.params import Params
from cortexbuild.core.ports import Run, Tool
from cortexbuild.core.step import Kind
from cortexbuild.errors import ToolError


class JoinParams(Params):
    pass


class CutParams(Params):
    gibibytes: int = 0  # of memory, that it says it needs
    keep: int = 4
    sleep: float = 0.0
    fail: str = ""


class CheckParams(Params):
    longest: int = 99
    says: str = "{}"  # more measures, as JSON


def join(run: Run, params: JoinParams) -> None:
    seen = sorted(path.name for path in run.inputs["model"].iterdir())
    assert seen == ["config.json"], seen
    config = json.loads((run.inputs["model"] / "config.json").read_text())
    (run.out / "model.txt").write_text(str(config["text"]).upper())
    print("joined")


def cut(run: Run, params: CutParams) -> None:
    seen = sorted(p.name for p in run.inputs["model"].iterdir())
    assert seen == ["model.txt"], seen
    run.progress(1, 2)
    hold = os.environ.get("CORTEX_HOME", "")
    if params.sleep:
        (Path(hold) / "cutting").write_text(str(os.getpid()))
        until = time.monotonic() + params.sleep
        while time.monotonic() < until and not (Path(hold) / "go").exists():
            time.sleep(min(0.02, params.sleep))
    if params.fail == "raise":
        raise ValueError("no scissors")
    if params.fail == "tell":  # all that it was told, and what a library may quote
        print(dict(os.environ), file=sys.stderr)
        raise ValueError(f"{dict(os.environ)} https://me:quoted-9@host/?sig=quoted-9")
    if params.fail == "exit":
        sys.exit("no scissors")
    if params.fail == "kill":
        print("cutting", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if params.fail == "memory":  # all that there is, up to one gibibyte
        held = bytearray(1 << 30)
        held[::4096] = bytes([1]) * (len(held) // 4096)
        print("there was enough", flush=True)
    if params.fail == "nothing":
        return
    text = (run.inputs["model"] / "model.txt").read_text()[: params.keep]
    if params.fail == "differ":
        text += os.urandom(8).hex()
    (run.out / "model.txt").write_text(text)


def check(run: Run, params: CheckParams) -> None:
    length = len((run.inputs["model"] / "model.txt").read_text())
    bad = int(length > params.longest)
    (run.out / "measures.json").write_text(
        json.dumps({"nonfinite_logits": bad, **json.loads(params.says)})
    )


def version() -> dict[str, str]:
    """What is installed: a file that a test may write says otherwise."""
    said = Path(os.environ.get("CORTEX_HOME", "/nonexistent")) / "text-version"
    found = said.read_text() if said.exists() else "1.0"
    if found == "none":
        raise ToolError("text is not installed", hint="pip install text")
    return {"text": found}


TOOLS = (
    Tool("text", Kind.CONVERT, JoinParams, join, 1, ("safetensors",), "text",
         reads={"model": ("config.json",)}, wants=("facts",), engine=version),
    Tool("text", Kind.QUANTIZE, CutParams, cut, 1, ("text",), "text", engine=version,
         needs=lambda params, _: Needs(PROCESS + params.gibibytes * GIB)),
    Tool("text", Kind.VALIDATE, CheckParams, check, 1, ("text",), "measures", engine=version),
)  # fmt: skip
