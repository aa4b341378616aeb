"""Which steps may run in one go: those of one tool over the very same inputs."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeAlias

from ..core.scheduling.agenda import Ready
from ..core.step import Kind, StepId
from .project import Project

MayJoin: TypeAlias = Callable[[StepId], bool]
"""Whether a step may run in one go with others, as far as the course of a build goes."""


def none_joins(_id: StepId) -> bool:
    """Each step runs by itself."""
    return False


def together(project: Project, may_join: MayJoin) -> Callable[[Ready], Hashable | None]:
    """Gives the same for steps that their tool can do together; None for others.

    Not for what is pulled or fetched; nor for what runs the code of a model, which has a process
    for itself.
    """

    def same(ready: Ready) -> Hashable | None:
        step = ready.step
        if ready.pull is not None or step.kind is Kind.FETCH or step.code:
            return None
        if not may_join(ready.id) or project.find_step_tool(step).together is None:
            return None
        inputs = frozenset((role, tree.digest) for role, tree in ready.inputs.items())
        return step.tool.name, step.kind, step.format, inputs

    return same
