"""One source to many targets, by `cortexbuild` itself: what is built, refused, or fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cortexbuild.app.build import After
from cortexbuild.app.project import Project
from cortexbuild.app.sync import Outcome
from cortexbuild.cli.python import open_manifest
from cortexbuild.cli.syncing import SyncOptions, run_sync
from cortexbuild.core.plan import Scope
from cortexbuild.errors import ManifestError

TOKENS = 64
"""Tokens on which the build itself tries a target; ours are counted in `scores.py`."""


@dataclass(frozen=True, slots=True)
class Source:
    """`name` is that of its model in the manifest."""

    name: str
    place: Path


@dataclass(frozen=True, slots=True)
class Target:
    """A recipe with what is set in it."""

    recipe: str
    settings: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """`format` is what a runtime is found by, `note` what the planner says of the way there."""

    path: Path
    format: str
    note: str

    @property
    def lossless(self) -> bool:
        return self.note.startswith("lossless")


@dataclass(frozen=True, slots=True)
class Refused:
    """By the planner, before anything runs."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Planned, but a step failed, or what came out was judged bad."""

    reason: str


Result = Built | Refused | Failed


def build(work: Path, source: Source, targets: Mapping[str, Target]) -> dict[str, Result]:
    """Plan each target in a manifest of its own, then sync those that were not refused."""
    folder = work / "manifests" / source.name
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Result] = {}
    planned: dict[str, Target] = {}
    for name, target in targets.items():
        try:
            _open(folder, source, {name: target})
            planned[name] = target
        except ManifestError as error:
            reason = str(error).removeprefix(f"{error.where}: ")
            results[name] = Refused(reason.removeprefix(f"{source.name}:{name}: "))
    if planned:
        project = _open(folder, source, planned)
        scope = Scope(project.plan.select(()))
        outcome = run_sync(project, scope, lambda _event: None, SyncOptions(after=After("go-on")))
        results |= _results(source, project, outcome)
    return {name: results[name] for name in targets}


def _open(folder: Path, source: Source, targets: Mapping[str, Target]) -> Project:
    rows = {
        name: {"recipe": target.recipe, "set": dict(target.settings or {})}
        for name, target in targets.items()
    }
    model = {"source": f"path:{source.place}", "targets": rows}
    few = {"text": "builtin:evaluation", "tokens": TOKENS}
    path = folder / "cortex.yaml"
    said = {"schema": 1, "evaluation": few, "models": {source.name: model}}
    path.write_text(json.dumps(said, indent=1))
    return open_manifest(path)


def _results(source: Source, project: Project, outcome: Outcome) -> dict[str, Result]:
    found: dict[str, Result] = {}
    for one in outcome.targets:
        goal = project.plan.goals[one.target]
        name = one.target.removeprefix(f"{source.name}:")
        steps = project.plan.chain((goal.model, *goal.checks))
        labels = [project.plan.steps[step].label for step in steps]
        failures = [outcome.failed[label].message for label in labels if label in outcome.failed]
        if one.wrong:
            found[name] = Failed("; ".join(failures or one.wrong))
        else:
            found[name] = Built(one.path, goal.format, goal.note)
    return found
