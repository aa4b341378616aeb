"""How long it takes to plan very many steps, and how much memory: in a process of its own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from measure import SAID, run
from ours import Cortexbuild
from workload import MARKS, head, name_of

STEPS = [{"do": kind, "tool": "copy"} for kind in ("convert", "quantize", "validate")]


@dataclass(frozen=True)
class Planned:
    """Seconds of the processor to make the plan, and then to find out what of it is to run."""

    models: int
    steps: int
    plan: float
    agenda: float
    memory: int = 0


def measure(models: int, work: Path) -> Planned:
    work.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", __file__, str(models)]
    environment = {**Cortexbuild().environment(work)}
    environment["PYTHONPATH"] += f":{Path(__file__).parent}"
    taken = run(command, work, environment)
    told = json.loads((work / SAID).read_text().splitlines()[-1])
    return replace(Planned(**told), memory=taken.memory)


def planned(models: int) -> Planned:
    from cortexbuild.core.digest import File, Tree, digest_bytes
    from cortexbuild.core.document import Text
    from cortexbuild.core.lock import Lock, Pinned
    from cortexbuild.core.manifest import Manifest
    from cortexbuild.core.plan import Scope
    from cortexbuild.core.planning.planner import make_plan
    from cortexbuild.core.planning.resolve import tools_of
    from cortexbuild.core.ports import Toolbox
    from cortexbuild.core.recipe import Recipe
    from cortexbuild.core.scheduling.agenda import Agenda
    from cortexbuild.core.step import ToolId
    from cortexbuild.tools import find_edges, find_tool

    def recipe(mark: str) -> Recipe:
        steps = [
            {**step, "set": {"mark": mark}} if n == 1 else step for n, step in enumerate(STEPS)
        ]
        return Recipe.parse(Text(mark, {"schema": 1, "summary": mark, "steps": steps}))

    def source(model: int) -> Pinned:
        files = [File("config.json", digest_bytes(b"{}"), 2)]
        files.append(File("model.safetensors", digest_bytes(head(model)), 4096))
        return Pinned(f"path:src/{name_of(model)}", Tree.of(files), {"format": "safetensors"})

    recipes = {mark: recipe(mark) for mark in MARKS}
    sources: Mapping[str, Pinned] = {one.origin: one for one in map(source, range(models))}
    named = {o.rpartition("/")[2]: {"source": o, "targets": list(recipes)} for o in sources}
    manifest = Manifest.parse(Text("cortex.yaml", {"schema": 1, "models": named}))
    toolbox = Toolbox(find_tool, find_edges)
    tools = tools_of(manifest, recipes, sources, toolbox)
    lock = Lock(sources, {name: ToolId(t.name, t.revision) for name, t in tools.items()})
    started = time.process_time()
    plan = make_plan(manifest, recipes, lock, toolbox)
    made = time.process_time()
    Agenda(plan, plan.ends(Scope(tuple(plan.goals))), lambda *_: None, lambda _: False)
    return Planned(models, len(plan.steps), made - started, time.process_time() - made)


if __name__ == "__main__":
    print(json.dumps(asdict(planned(int(sys.argv[1])))))
