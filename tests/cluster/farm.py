"""A cluster of real processes: a scheduler, workers with homes of their own, and who syncs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from remotes.servers import free_port
from waiting import until
from workspace import CLI, PLUGIN, RECIPE, Workspace, tiny_safetensors

LONG = 2 << 20


class Farm:
    """Whatever a test starts here is ended here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.address = f"tcp://127.0.0.1:{free_port()}"

    def environment(self, home: Path) -> Mapping[str, str]:
        path = os.pathsep.join([str(PLUGIN), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        return {**os.environ, "CORTEX_HOME": str(home), "PYTHONPATH": path, "NO_COLOR": "1"}

    def home(self, name: str) -> Path:
        return self.folder / name

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def start(self, name: str, *args: str, home: Path | None = None) -> None:
        """A process of the command line, and its first line, which says that it is ready."""
        log = self.folder / f"{name}.log"
        with log.open("w") as said:
            self.processes[name] = subprocess.Popen(
                [*CLI, *args], stdout=said, stderr=said, stdin=subprocess.DEVNULL, text=True,
                env=self.environment(home or self.home(name)),
            )  # fmt: skip

    def ready(self, *names: str) -> Farm:
        def are() -> bool:
            for name in names:
                assert self.processes[name].poll() is None, self.said(name)
            return all(self.said(name).strip() for name in names)

        until(are)
        return self

    def scheduler(self, *args: str) -> Farm:
        self.start("scheduler", "scheduler", "--listen", self.address, *args)
        return self.ready("scheduler")

    def worker(self, name: str, *args: str, home: Path | None = None) -> None:
        args = args or ("--jobs", "1", "--memory", "4GiB")
        self.start(
            name, "worker", "--scheduler", self.address, "--name", name, *args, home=home
        )  # fmt: skip

    def workers(self, *names: str) -> Farm:
        for name in names:
            self.worker(name)
        return self.ready(*names)

    def go(self, *names: str) -> None:
        """Steps that sleep there go on, and all that come."""
        for name in names:
            (self.home(name) / "go").touch()

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(timeout=30)

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()


def project(folder: Path, farm: Farm, remote: str = "", **targets: dict) -> Workspace:
    """Models that are texts, built by that farm; what is joined of them is more than comes here
    unasked."""
    space = Workspace(folder / "project", folder / "home", inside=True)
    space.write("recipes/short.yaml", RECIPE)
    text = f"{folder.name[::-1]} " * (LONG // len(folder.name))  # of this test alone
    space.write("weights/config.json", json.dumps({"text": text}))
    space.write("weights/model.safetensors", tiny_safetensors())
    space.manifest(**targets)
    text = (space.root / "cortex.yaml").read_text()
    text += f'executor: {{dask: "{farm.address}", wait: 1}}\n'
    if remote:
        text += f'cache: {{remotes: [{{url: "{remote}", name: team, unsigned: true}}]}}\n'
    space.write("cortex.yaml", text)
    return space
