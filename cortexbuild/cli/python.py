"""The same from Python: `cortexbuild.sync()` and `cortexbuild.load(…).generate(…)`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from ..app import generate as app_generate
from ..app.build import AfterFailure
from ..app.explain import outlook
from ..app.project import Project
from ..app.ran import after
from ..app.sync import Outcome
from ..app.sync import sync as app_sync
from ..core.events import Event, StepChanged
from ..core.plan import Scope
from ..core.ports import LoadedModel, Sampling
from ..errors import BuildFailed, StoreError
from . import wire, words
from .beside import keep_last, keep_run, read_lock, read_run, write_lock
from .prune import note_views


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
    outcome = run_sync(project, Scope(project.plan.select(targets)), jobs, lambda _: None)
    keep_settled(project, outcome)
    raise_if_failed(outcome)
    return {one.target: one.path for one in outcome.targets}


def load(target: str, *, manifest: str | Path = "cortex.yaml") -> Model:
    """Load a target that was built. Its bytes are checked first."""
    return Model(app_generate.load(open_manifest(manifest), target))


def run_sync(
    project: Project,
    scope: Scope,
    jobs: int | None,
    emit: Callable[[Event], None],
    *,
    after_failure: AfterFailure = "finish",
    patience: float | None = None,
    again: Literal["compare", "replace"] = "compare",
) -> Outcome:
    """One sync with the real parts. What was pinned is locked first; the last keys are kept for
    `why`, and what became of each step for `report`."""
    changes: list[StepChanged] = []

    def hear(event: Event) -> None:
        if isinstance(event, StepChanged):
            changes.append(event)
        emit(event)

    if project.lock != project.locked:  # a frozen one is never another
        write_lock(project.root, project.lock)
    store = wire.store_of(project)
    run = wire.new_run(store)
    executor = wire.open_executor(jobs or os.cpu_count() or 1, emit)
    try:
        outcome = app_sync(
            project,
            scope,
            executor,
            partial(
                wire.job_of, store, project.root, run, patience, project.plan.forced(scope), again
            ),
            hear,
            after_failure=after_failure,
            prepare=partial(check_room, project, scope),
        )
    finally:
        executor.close()
        wire.end_run(store, run)
    keep_last(project.root, outcome.keys)
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    before = read_run(project.root)
    keep_run(project.root, after(before, changes, outcome.failed, at, project.plan.steps))
    note_views(project)
    return outcome


def keep_settled(project: Project, outcome: Outcome) -> None:
    """Lock where targets that have several ways ended, so that none is searched again."""
    lock = read_lock(project.root) or project.lock  # another command may have written it meanwhile
    settled = {**lock.settled, **outcome.settled}
    if settled != lock.settled:
        write_lock(project.root, replace(lock, settled=settled))


def check_room(project: Project, scope: Scope) -> None:
    """Raises StoreError when what will be brought and made does not fit on the disk.

    What is downloaded and made is moved into the store and not copied, so nothing counts twice.
    """
    steps = [step for step in outlook(project, scope) if step.state != "fresh"]
    needed, free = sum(step.size for step in steps), shutil.disk_usage(project.store.root).free
    if needed > free:
        largest = max(steps, key=lambda step: step.size)
        raise StoreError(
            f"about {words.size(needed)} are to be written to {project.store.root}, and "
            f"{words.size(free)} are free",
            hint=f"most of it is {largest.step.label} ({words.size(largest.size)}); make room, or "
            "set CORTEX_HOME to a folder on a larger disk",
        )


def raise_if_failed(outcome: Outcome) -> None:
    failed = {label: failure.message for label, failure in outcome.failed.items()}
    for one in outcome.targets:
        if one.wrong and (one.tree is not None or not outcome.failed):
            failed[one.target] = "; ".join(one.wrong)
    if failed:
        # When several apply: wrong bytes, a failed step, the network, a lock that was not obtained.
        codes = {failure.code for failure in outcome.failed.values()}
        codes |= {one.code for one in outcome.targets if one.wrong and one.tree is not None}
        code = next((code for code in (6, 1, 2, 5, 4) if code in codes), 1)
        code = 1 if code == 2 else code
        hints = [failure.hint for failure in outcome.failed.values() if failure.hint]
        raise BuildFailed(failed, hint=hints[0] if len(hints) == 1 else "", code=code)
