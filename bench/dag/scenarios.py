"""What is done to a project, and what each tool then takes: whole processes, one tool after the
other in every round, so that what disturbs the machine disturbs all."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from measure import SAID, Taken, middle, run
from ours import Cortexbuild
from peers import Peer
from workload import STEPS

AT_REST = 2.5
"""Seconds after which cortexbuild believes a stat for good, and seals."""

Tool = Cortexbuild | Peer


@dataclass
class Project:
    """A tool with a folder that it builds in; `marks` are the parameters that were changed."""

    tool: Tool
    work: Path
    models: int
    marks: dict[tuple[int, str], str] = field(default_factory=dict)

    def begin(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.marks.clear()
        self.tool.prepare(self.work, self.models)
        self.tool.manifest(self.work, self.models, self.marks)

    def run(self, command: Sequence[str] | None = None) -> Taken:
        """The build, unless another command is given. Says how many steps ran."""
        environment = self.tool.environment(self.work)
        taken = run(command or self.tool.build, self.work, environment)
        return replace(taken, steps=self.tool.steps_run(self.work))

    def expect(self, taken: Taken) -> Taken:
        if taken.code:
            said = (self.work / SAID).read_text(errors="replace")[-2000:]
            print(f"{self.tool.name} ended with {taken.code}:\n{said}", file=sys.stderr)
        return taken

    def change_mark(self, model: int) -> None:
        self.marks[model, "q4"] = f"q4-{model}"
        self.tool.manifest(self.work, self.models, self.marks)


@dataclass(frozen=True)
class Scenario:
    """`before` is done first and not timed, for the model whose turn it is; `command` is then run.
    Steps that ought to run are `ideal`; more may with a tool that `keeps` nothing. A tool that has
    no such command has None."""

    name: str
    command: Callable[[Project, int], Sequence[str] | None]
    ideal: str
    before: Callable[[Project, int], object] = lambda _project, _model: None
    rounds: int | None = None


def again(project: Project, model: int) -> Sequence[str]:
    del model
    return project.tool.again


def build(project: Project, model: int) -> Sequence[str]:
    del model
    return project.tool.build


def just_edited(project: Project, model: int) -> None:
    project.tool.change(project.work, model, 3)
    project.run()


SCENARIOS = (
    Scenario("no-op", again, "0"),
    Scenario("no-op, all looked at again", again, "0", just_edited),
    Scenario("plan, nothing to do", lambda p, _: p.tool.plan, "0"),
    Scenario("list", lambda p, _: p.tool.listing, "0"),
    Scenario("why, of one target", lambda p, n: p.tool.why(n), "0"),
    Scenario("edit of one source", build, "9", lambda p, n: p.tool.change(p.work, n, 1)),
    Scenario("edit that is cut off", build, "0–1", lambda p, n: p.tool.change_tail(p.work, n, 1)),
    Scenario("edit taken back", build, "0", lambda p, n: p.tool.change(p.work, n, 0)),
    Scenario("one parameter", build, "2", Project.change_mark),
    Scenario("all outputs lost", build, "0", lambda p, _: p.tool.lose_outputs(p.work), 1),
)

Results = dict[str, dict[str, Taken]]
"""By scenario, and then by tool."""


def measure(projects: Sequence[Project], rounds: int) -> Results:
    found: Results = {"cold plan": {}, "cold build": {}}
    for project in projects:
        project.begin()
        if project.tool.plan is not None:
            taken = project.run(project.tool.plan)  # dvc's fails where nothing was ever built
            found["cold plan"][project.tool.name] = taken
        project.begin()
        found["cold build"][project.tool.name] = project.expect(project.run())
        _show("cold build", project, found["cold build"][project.tool.name])
    for scenario in SCENARIOS:
        _rest(projects, scenario)
        taken: dict[str, list[Taken]] = {}
        for number in range(scenario.rounds or rounds):
            for project in projects:
                model = number % project.models
                scenario.before(project, model)
                command = scenario.command(project, model)
                if command is not None:
                    one = project.expect(project.run(command))
                    taken.setdefault(project.tool.name, []).append(one)
        found[scenario.name] = {name: middle(all_) for name, all_ in taken.items()}
        for project in projects:
            if project.tool.name in taken:
                _show(scenario.name, project, found[scenario.name][project.tool.name])
    return found


def _rest(projects: Sequence[Project], scenario: Scenario) -> None:
    """Before what is asked of a project that was left alone, it is left alone and asked once."""
    if scenario.command is build:
        return
    for _ in range(2):
        time.sleep(AT_REST)
        for project in projects:
            project.run(project.tool.again)
    for project in projects:
        command = scenario.command(project, 0)
        if command is not None:
            project.run(command)


def _show(name: str, project: Project, taken: Taken) -> None:
    of = f"of {project.models * STEPS}"
    print(
        f"{name:28} {project.tool.name:12} {taken.seconds:8.3f} s  cpu {taken.processor:8.3f} s  "
        f"{taken.memory >> 20:4} MB  {taken.steps} steps {of}  exit {taken.code}",
        flush=True,
    )
