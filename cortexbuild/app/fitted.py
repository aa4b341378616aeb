"""What a budget buys, before anything is built: sizes and divergences of the best choices."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.digest import Tree
from ..core.plan import Goal
from ..core.step import Step
from ..errors import ToolError
from ..formats.fitting import FitParams, weight_budget
from .history import history
from .project import Project

SENSITIVITY = "-sensitivity"
"""What the names of tools end in that find out what each choice costs."""

SHOWN = 8
"""Points of a frontier that are told; it has one for every layer and number of bits."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Bytes of the weights, and the divergence that is predicted for them, in nats per token."""

    bytes: int
    kl: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is known of a target with a budget.

    `budget` is what the weights may take, `chosen` what is built for it, and `frontier` the best
    choices from the smallest on. Before the sensitivities are measured nothing is known; `wrong`
    says why nothing fits.
    """

    budget: int | None = None
    chosen: Choice | None = None
    frontier: Sequence[Choice] = ()
    wrong: str = ""


def fitted(project: Project, goal: Goal) -> Fitted | None:
    """None for a goal whose bits are not chosen by a budget."""
    plan = project.plan
    step = plan.steps[goal.model]
    role = next((role for role in step.inputs if role.endswith(SENSITIVITY)), None)
    if role is None:
        return None
    trace = history(project, goal).get(step.inputs[role].step)
    if trace is None or not project.store.has_tree(trace.tree):
        return Fitted()
    return _known(project, step, trace.tree)


def _known(project: Project, step: Step, tree: Tree) -> Fitted:
    from ..quality.sensitivity import NAME, read_sensitivity  # numpy, which most plans do without

    texts = {file.path: project.store.blob(file.digest).read_text() for file in tree.files}
    found = read_sensitivity(texts[NAME])
    params = project.find_step_tool(step).params.from_plain(step.params)
    assert isinstance(params, FitParams), "what wants sensitivities has a budget"
    points = [Choice(point.size, point.cost) for point in found.frontier()]
    every = max(1, -(-len(points) // SHOWN))
    shown = [*points[:-1:every], points[-1]]
    try:
        budget = weight_budget(params, json.loads(texts["config.json"]), found.weights)
        names, size = found.choose(budget)
    except ToolError as error:
        return Fitted(frontier=shown, wrong=str(error))
    cost = sum(found.options[layer][name].cost for layer, name in names.items())
    return Fitted(budget, Choice(size, cost), shown)
