"""Find a built target and run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ..core.digest import Tree
from ..core.ports import LoadedModel
from ..errors import IntegrityError, ToolError
from .measured import goal_that_counts
from .project import Project

TargetState: TypeAlias = Literal["ok", "stale", "not built"]


@dataclass(frozen=True, slots=True)
class Built:
    """A target as it stands: `path` is what a program opens, `stale` if a sync would change it."""

    target: str
    format: str
    path: Path
    tree: Tree
    stale: bool


def state_of(built: Built | None) -> TargetState:
    return "not built" if built is None else "stale" if built.stale else "ok"


def find_built(project: Project, pattern: str) -> Built:
    """The one target that `pattern` names, every byte of it checked.

    Raises ToolError when it was never built, IntegrityError when its bytes are damaged.
    """
    target = project.plan.select_one(pattern)
    built = look(project, target)
    if built is None:
        raise ToolError(f"{target} is not built", hint=f"run `cortexbuild sync {target}`")
    _check(project, built)
    project.store.note_use(built.tree)
    return built


def look(project: Project, target: str) -> Built | None:
    """A target as it stands, or None when it was never built. Its bytes are not checked."""
    goal, agenda = goal_that_counts(project, target)
    shown = project.views.shows(target, goal.format)
    if shown is None:
        return None
    path = project.views.path(target, goal.format)
    tree = agenda.tree(goal.model) if agenda.is_done(goal) else None
    if tree is not None and tree.digest == shown:
        return Built(target, goal.format, path, tree, stale=False)
    # A sync would change it, or its files are gone: what the view shows is found by its trace.
    for trace in project.store.traces():
        if trace.tree.digest == shown:
            return Built(target, goal.format, path, trace.tree, stale=True)
    return None


def load(project: Project, pattern: str) -> LoadedModel:
    return load_built(project, find_built(project, pattern))


def load_built(project: Project, built: Built) -> LoadedModel:
    """In this process; so it raises ToolError for a model that its runtime runs by its own code."""
    runtime = project.find_runtime(built.format)
    model = built.target.partition(":")[0]
    if runtime.load_with_code is not None and project.manifest.models[model].allow_code:
        raise ToolError(
            f"{built.target} is run by code that the model brings, which is run in steps alone, "
            "away from your terminal and your credentials",
            hint=f"`cortexbuild path {built.target}` is a folder for transformers, with "
            "`trust_remote_code=True` of your own; GGUF and MLX targets run without its code",
        )
    return runtime.load(built.path)


def _check(project: Project, built: Built) -> None:
    fits = project.views.is_whole(built.target, built.format, built.tree)
    if not project.store.has_tree(built.tree) or not fits:
        raise IntegrityError(
            f"{built.target} is damaged or incomplete",
            hint=f"run `cortexbuild sync {built.target}`",
        )
