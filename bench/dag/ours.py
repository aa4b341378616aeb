"""cortexbuild, with a manifest and recipes of its own and the tools of `plugin/`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from measure import SAID
from workload import MARKS, Marks, head, name_of, tail

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__).with_name("plugin")
COMMAND = (sys.executable, "-P", "-m", "cortexbuild")
RECIPE = """\
schema: 1
summary: copies
steps:
  - {do: convert, tool: copy}
  - {do: quantize, tool: copy, set: {mark: %s}}
  - {do: validate, tool: copy}
"""


class Cortexbuild:
    name, keeps, jobs = "cortexbuild", True, 2
    version = (*COMMAND, "--version")
    build = (*COMMAND, "sync", "-j", "2")
    again = (*COMMAND, "sync")
    plan = (*COMMAND, "plan")
    listing = (*COMMAND, "list")
    keep_going = ("--keep-going",)

    def why(self, model: int) -> tuple[str, ...] | None:
        return (*COMMAND, "why", f"{name_of(model)}:q4")

    def environment(self, work: Path) -> Mapping[str, str]:
        paths = os.pathsep.join(map(str, (ROOT, PLUGIN)))
        return {"CORTEX_HOME": str(work / "home"), "PYTHONPATH": paths, "NO_COLOR": "1"}

    def prepare(self, work: Path, models: int) -> None:
        for mark in MARKS:
            recipe = work / "recipes" / f"{mark}.yaml"
            recipe.parent.mkdir(exist_ok=True)
            recipe.write_text(RECIPE % mark)
        for model in range(models):
            folder = work / "src" / name_of(model)
            folder.mkdir(parents=True)
            (folder / "config.json").write_text('{"model_type": "llama"}')
            self.change(work, model, 0)
            self.change_tail(work, model, 0)

    def manifest(self, work: Path, models: int, marks: Marks) -> None:
        lines = ["schema: 1", "models:"]
        for model in range(models):
            own = {mark: marks[model, mark] for mark in MARKS if (model, mark) in marks}
            targets = ", ".join(
                f"{mark}: {{recipe: {mark}, set: {{mark: {own[mark]}}}}}"
                if mark in own
                else f"{mark}: {{recipe: {mark}}}"
                for mark in MARKS
            )
            name = name_of(model)
            lines.append(f"  {name}: {{source: path:src/{name}, targets: {{{targets}}}}}")
        (work / "cortex.yaml").write_text("\n".join(lines) + "\n")

    def change(self, work: Path, model: int, salt: int) -> None:
        (work / "src" / name_of(model) / "model.safetensors").write_bytes(head(model, salt))

    def change_tail(self, work: Path, model: int, salt: int) -> None:
        (work / "src" / name_of(model) / "generation_config.json").write_bytes(tail(model, salt))

    def steps_run(self, work: Path, said: Sequence[str] = (SAID,)) -> int:
        """What the last commands say that they ran."""
        texts = [(work / name).read_text(errors="replace") for name in said]
        return sum(line.startswith("  ok ") for text in texts for line in text.splitlines())

    def output(self, work: Path, model: int, mark: str) -> Path:
        return work / "home" / "quantized_models" / f"{name_of(model)}--{mark}" / "model.bin"

    def lose_outputs(self, work: Path) -> None:
        """The views, and the folders that they show."""
        shutil.rmtree(work / "home" / "quantized_models")
        shutil.rmtree(work / "home" / "build" / "v1" / "trees")

    def cached(self, work: Path, content: bytes) -> list[Path]:
        blobs = (work / "home" / "build" / "v1" / "cas").rglob("*")
        return [path for path in blobs if path.is_file() and path.read_bytes() == content]

    def slow_down(self, work: Path, milliseconds: int) -> Mapping[str, str]:
        (work / "home").mkdir(exist_ok=True)
        (work / "home" / "slow").write_text(str(milliseconds / 1000))
        return {}

    def let_fail(self, work: Path, models: int, model: int, mark: str) -> Mapping[str, str]:
        """By its parameter, which no other step has."""
        self.manifest(work, models, {(model, mark): "bad"})
        (work / "home").mkdir(exist_ok=True)
        (work / "home" / "fail").write_text("bad")
        return {}

    def as_usual(self, work: Path) -> None:
        for name in ("slow", "fail"):
            (work / "home" / name).unlink(missing_ok=True)
