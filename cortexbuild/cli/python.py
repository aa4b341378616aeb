"""The same from Python: `cortexbuild.sync()` and `cortexbuild.load(…).generate(…)`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..app import generate as app_generate
from ..app.project import Project
from ..core.plan import Scope
from ..core.ports import LoadedModel, Sampling
from . import wire
from .sharing import Sharing, push_good, share, writers
from .syncing import SyncOptions, keep_settled, raise_if_failed, run_sync


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
    """Build or pull what is not up to date; all targets when none is named. Gives their paths by
    name. Which remotes are used, CORTEX_CACHE says.

    Raises BuildFailed when a step failed or a target was judged bad; the others are built.
    """
    project = open_manifest(manifest)
    scope = Scope(project.plan.select(targets))
    sharing = Sharing()
    writing = writers(project, sharing, _unheard)
    project, _ = share(project, sharing, _unheard)
    outcome = run_sync(project, scope, _unheard, SyncOptions(jobs))
    keep_settled(project, outcome)
    push_good(project, scope.targets, writing, sharing, _unheard)
    raise_if_failed(outcome)
    return {one.target: one.path for one in outcome.targets}


def _unheard(_: object) -> None:
    """Where nobody looks on."""


def load(target: str, *, manifest: str | Path = "cortex.yaml") -> Model:
    """Load a target that was built. Its bytes are checked first."""
    return Model(app_generate.load(open_manifest(manifest), target))
