"""A graph of 900 trivial steps, by cortexbuild and others: writes docs/reference/bench-dag.md.

    python bench/dag [--models 100] [--rounds 7] [--tools doit,ninja]

It works in a temporary folder. The other tools are installed once, into the folder that
BENCH_PEERS names or one under ~/.cache. On a machine where nothing else runs it takes 20 minutes,
half of them with dvc.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import tempfile
from pathlib import Path

import document
import peers
import probes
import scale
import scenarios
from ours import Cortexbuild

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reference" / "bench-dag.md"
DVC_MODELS = 10
SCALES = (5_556, 11_112)
TOOLS = (Cortexbuild, peers.Doit, peers.Snakemake, peers.Ninja, peers.Dvc)


def main() -> None:
    names = [tool.name for tool in TOOLS]
    parser = argparse.ArgumentParser(prog="python bench/dag", description=__doc__)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tools", default=",".join(names), help="beside cortexbuild")
    parser.add_argument("--no-probes", action="store_true")
    chosen = parser.parse_args()
    peers.install()
    with tempfile.TemporaryDirectory(prefix="dag-") as folder:
        work = Path(folder)
        tools = [tool() for tool in TOOLS if tool.name in ("cortexbuild", *chosen.tools.split(","))]
        versions = {tool.name: version(tool, work) for tool in tools}
        projects = [scenarios.Project(tool, work / tool.name, chosen.models) for tool in tools]
        slow = [project for project in projects if project.tool.name == "dvc"]
        results = scenarios.measure([one for one in projects if one not in slow], chosen.rounds)
        for project in slow:
            project.models = DVC_MODELS
            for name, taken in scenarios.measure([project], 2).items():
                results[name] |= taken
        said: dict[str, dict[str, str]] = {}
        for name, probe in probes.PROBES.items() if not chosen.no_probes else ():
            for tool in tools:
                project = scenarios.Project(tool, work / f"probe-{tool.name}", probes.MODELS)
                said.setdefault(name, {})[tool.name] = probe(project)
                print(f"{name}  {tool.name}: {said[name][tool.name]}", flush=True)
        planned = [scale.measure(models, work / "scale") for models in SCALES]
    machine = f"{platform.system()} {platform.machine()} with {os.cpu_count()} processors"
    found = document.Found(
        chosen.models, DVC_MODELS, chosen.rounds, machine, versions, results, said, planned
    )
    text = document.write(found)
    DOCUMENT.write_text(text)
    print(text)


def version(tool: scenarios.Tool, work: Path) -> str:
    environment = {**os.environ, **tool.environment(work)}
    said = subprocess.run(
        list(tool.version), env=environment, capture_output=True, text=True, check=True
    )
    return said.stdout.split()[-1] if tool.name == "cortexbuild" else said.stdout.split()[0]


if __name__ == "__main__":
    main()
