"""The same from Python: `cortexbuild.sync()` and `cortexbuild.load(…).generate(…)`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..app import generate as app_generate
from ..app.project import Project
from ..app.sync import Outcome
from ..app.sync import sync as app_sync
from ..core.events import Event
from ..core.ports import LoadedModel, Sampling
from ..errors import BuildFailed
from . import wire


@dataclass(frozen=True, slots=True)
class Model:
    """A built model in memory."""

    loaded: LoadedModel

    def generate(self, prompt: str, sampling: Sampling | None = None) -> str:
        """The whole continuation of `prompt`, without the prompt."""
        return "".join(self.stream(prompt, sampling))

    def stream(self, prompt: str, sampling: Sampling | None = None) -> Iterator[str]:
        """The same, in pieces as they come."""
        return self.loaded.generate(prompt, sampling or Sampling())


def open_manifest(path: str | Path = "cortex.yaml") -> Project:
    """Read a manifest and plan it. Raises ManifestError for any mistake in it."""
    return wire.open_project(Path(path), wire.open_store())


def sync(
    *targets: str, manifest: str | Path = "cortex.yaml", jobs: int | None = None
) -> dict[str, Path]:
    """Build what is not up to date; all targets when none is named. Gives their paths by name.

    Raises BuildFailed when a step failed or a target was judged bad; the others are built.
    """
    project = open_manifest(manifest)
    outcome = run_sync(project, project.plan.select(targets), jobs, lambda _: None)
    raise_if_failed(outcome)
    return {one.target: one.path for one in outcome.targets}


def load(target: str, *, manifest: str | Path = "cortex.yaml") -> Model:
    """Load a target that was built. Its bytes are checked first."""
    return Model(app_generate.load(open_manifest(manifest), target))


def run_sync(
    project: Project,
    targets: Sequence[str],
    jobs: int | None,
    emit: Callable[[Event], None],
    *,
    keep_going: bool = False,
) -> Outcome:
    """One sync with the real parts; the last keys are kept for `why`."""
    store = wire.store_of(project)
    run = wire.new_run(store)
    executor = wire.open_executor(jobs or os.cpu_count() or 1, emit)
    try:
        outcome = app_sync(
            project,
            tuple(targets),
            executor,
            partial(wire.job_of, store, project.root, run),
            emit,
            keep_going=keep_going,
        )
    finally:
        executor.close()
        wire.end_run(store, run)
    wire.keep_last(project.root, outcome.keys)
    return outcome


def raise_if_failed(outcome: Outcome) -> None:
    failed = {label: failure.message for label, failure in outcome.failed.items()}
    for one in outcome.targets:
        if one.wrong and one.tree is not None:
            failed[one.target] = "; ".join(one.wrong)
    if failed:
        hints = [failure.hint for failure in outcome.failed.values() if failure.hint]
        raise BuildFailed(failed, hint=hints[0] if len(hints) == 1 else "")
