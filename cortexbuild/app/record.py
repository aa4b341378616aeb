"""What targets were built to, written down in the lock to be reproduced bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.lock import Output
from ..core.plan import Goal
from ..core.step import Kind, Trace
from ..errors import StoreError
from .measured import goal_that_counts
from .project import Project


def record_outputs(project: Project) -> Mapping[str, Output]:
    """The digests of all targets that are made by bit-exact tools alone.

    Raises StoreError when one of them is not built.
    """
    found = {}
    for target in project.plan.goals:
        goal, agenda = goal_that_counts(project, target)
        if not is_bit_exact(project, goal):
            continue
        trace = agenda.traces.get(goal.model)
        if trace is None or not agenda.is_done(goal):
            raise StoreError(
                f"{target} is not built as cortex.yaml has it",
                hint="run `cortexbuild sync` first",
            )
        found[target] = Output(trace.key, trace.tree.digest)
    return found


def is_bit_exact(project: Project, goal: Goal) -> bool:
    """Whether the same inputs give the same bytes on every machine, by what the tools say."""
    steps = [project.plan.steps[id_] for id_ in project.plan.chain((goal.model,))]
    working = [step for step in steps if step.kind is not Kind.FETCH]
    return all(project.find_step_tool(step).determinism == "bit-exact" for step in working)


def difference(project: Project, target: str, trace: Trace) -> str:
    """How a built target differs from what was recorded of it; empty if it does not."""
    recorded = project.lock.outputs.get(target)
    if recorded is None or recorded.key != trace.key or recorded.tree == trace.tree.digest:
        return ""
    return (
        f"it is not reproduced: cortex.lock recorded {recorded.tree[:12]}, and here it is "
        f"{trace.tree.digest[:12]}"
    )
