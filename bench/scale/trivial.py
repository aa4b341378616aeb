"""A sync of very many steps that do next to nothing: what is left is what running one costs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

DAG = Path(__file__).resolve().parents[1] / "dag"
sys.path.append(str(DAG))

from measure import CLI, ROOT, Taken, in_turn, run  # noqa: E402
from workload import MARKS, head, name_of  # noqa: E402

RECIPE = """\
schema: 1
summary: copies
steps:
  - {{do: convert, tool: copy}}
  - {{do: quantize, tool: copy, set: {{mark: {mark}}}}}
  - {{do: validate, tool: copy}}
"""


def syncs(models: int, rounds: int, executors: Mapping[str, Sequence[str]]) -> Mapping[str, Taken]:
    """Nine steps for each model, by each executor with an empty store."""
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        project = Path(folder)
        write_project(project, models)
        return in_turn(
            rounds,
            {name: lambda more=more: sync(project, more) for name, more in executors.items()},
        )


def write_project(folder: Path, models: int) -> None:
    (folder / "recipes").mkdir()
    for mark in MARKS:
        (folder / "recipes" / f"{mark}.yaml").write_text(RECIPE.format(mark=mark))
    lines = ["schema: 1", "models:"]
    for model in range(models):
        source = folder / "src" / name_of(model)
        source.mkdir(parents=True)
        (source / "config.json").write_text('{"model_type": "llama"}')
        (source / "model.safetensors").write_bytes(head(model))
        targets = f"targets: [{', '.join(MARKS)}]"
        lines.append(f"  {source.name}: {{source: 'path:src/{source.name}', {targets}}}")
    (folder / "cortex.yaml").write_text("\n".join(lines) + "\n")


def sync(folder: Path, more: Sequence[str]) -> Taken:
    (folder / "cortex.lock").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as home:
        env = {"CORTEX_HOME": home, "PYTHONPATH": f"{ROOT}:{DAG / 'plugin'}", "NO_COLOR": "1"}
        return run(*CLI, "sync", "--jobs", "2", *more, cwd=folder, env=env)
