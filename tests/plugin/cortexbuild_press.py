"""A tool that can press several texts in one go. What it is told to `fail` at, it does there: `at
once` when it presses several, `alone` when it presses one, or in `both`.

Each call adds a line to the file `pressed` of its home: how many it was for.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from cortexbuild.core.params import Params
from cortexbuild.core.ports import Run, Tool
from cortexbuild.core.step import Kind
from cortexbuild.errors import ToolError


class PressParams(Params):
    keep: int = 4
    fail: str = ""
    how: str = "raise"
    sleep: float = 0.0  # when it is one of several


def press(run: Run, params: PressParams) -> None:
    _count(1)
    print(f"pressed to {params.keep} alone")
    _fail("alone", params)
    _press(run, params)
    run.progress(2, 2)


def press_all(pieces: Sequence[tuple[Run, PressParams]]) -> None:
    _count(len(pieces))
    print(f"pressed {len(pieces)} at once", flush=True)
    pieces[0][0].progress(1, 2)
    for run, params in pieces:
        time.sleep(params.sleep)
        _press(run, params)
        _fail("at once", params)


def _press(run: Run, params: PressParams) -> None:
    if params.how == "nothing":
        return
    text = (run.inputs["model"] / "model.txt").read_text()[: params.keep]
    (run.out / "model.txt").write_text(text)
    if not run.output.has("sum.txt"):
        with run.output.create("sum.txt") as file:
            file.write(str(len(text)).encode())


def _fail(where: str, params: PressParams) -> None:
    if params.fail not in (where, "both") or params.how == "nothing":
        return
    if params.how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if params.how == "exit":
        raise SystemExit("no press")
    raise ToolError(f"no press\nfor {params.keep}", hint="buy one")


def _count(number: int) -> None:
    with (Path(os.environ["CORTEX_HOME"]) / "pressed").open("a") as file:
        file.write(f"{number}\n")


TOOLS = (
    Tool("press", Kind.QUANTIZE, PressParams, press, 1, ("text",), "text", together=press_all),
)  # fmt: skip
