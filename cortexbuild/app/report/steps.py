"""The steps of a report: what each is, where it stands, and what it stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ...core.digest import Plain
from ...core.plan import Goal, Plan, Scope
from ...core.step import Failure, Kind, Step, StepId, StepKey, Trace
from ..explain import Outlook, Reason, State, outlook
from ..history import history
from ..project import Project
from ..ran import LastRun

Status: TypeAlias = Literal["cached", "built", "failed", "skipped", "remote", "will-run", "may-run"]
"""A step's state with what the last sync did: `built` by it, or `cached` since before it."""


@dataclass(frozen=True, slots=True)
class Edge:
    """An input of a step. With no `reads` the other has to succeed first, and no more."""

    role: str
    step: StepId
    reads: Sequence[str]


@dataclass(frozen=True, slots=True)
class Node:
    """One step. `size` is an estimate unless `size_known`; `seconds` is what it took when it was
    last made; `targets` are those that stand on it; `here` is whether its bytes are stored."""

    id: StepId
    label: str
    kind: str
    tool: Mapping[str, Plain]
    params: Mapping[str, Plain]
    determinism: str
    code: bool
    inputs: Sequence[Edge]
    targets: Sequence[str]
    state: State
    status: Status
    reasons: Sequence[Reason]
    failure: Failure | None
    failed_at: str
    key: StepKey | None
    output: str | None
    size: int
    size_known: bool
    here: bool
    seconds: float | None
    made_at: str
    platform: str


def nodes(
    project: Project, targets: Sequence[str], goals: Mapping[str, Goal], last: LastRun
) -> list[Node]:
    """Every step of these targets in plan order, with those of what they fell back to."""
    views = {view.id: view for view in outlook(project, Scope(tuple(targets)))}
    for name in targets:
        for rung in range(1, len(_ways(project.plan, name, goals))):
            other = outlook(project, Scope((name,), rung=rung))
            views |= {view.id: view for view in other if view.id not in views}
    users = _users(project.plan, targets, goals)
    made: dict[StepId, Trace] = {}
    for name in targets:
        for goal in _ways(project.plan, name, goals):
            made |= history(project, goal)
    return [
        _node(project, views[id_], made.get(id_), users.get(id_, ()), last)
        for id_ in project.plan.steps
        if id_ in views
    ]


def _users(
    plan: Plan, targets: Sequence[str], goals: Mapping[str, Goal]
) -> Mapping[StepId, list[str]]:
    users: dict[StepId, list[str]] = {}
    for name in targets:
        ends = [end for goal in _ways(plan, name, goals) for end in goal.ends]
        for id_ in plan.chain(ends):
            users.setdefault(id_, []).append(name)
    return users


def _ways(plan: Plan, target: str, goals: Mapping[str, Goal]) -> Sequence[Goal]:
    """What a target was tried to be made by, up to the way that counts."""
    ways = []
    for goal in plan.goals[target].rungs():
        ways.append(goal)
        if goal is goals[target]:
            break
    return ways


def _node(
    project: Project, view: Outlook, trace: Trace | None, targets: Sequence[str], last: LastRun
) -> Node:
    step = view.step
    if view.state != "fresh":  # or its bytes are gone: what is to come is not what was
        trace = None
    # A build has not looked at what it does not need, so there the outlook knows no tree.
    tree = view.tree or (trace.tree if trace else None)
    ran = last.steps.get(view.id) if view.state != "fresh" else None
    return Node(
        id=view.id,
        label=step.label,
        kind=step.kind.value,
        tool=step.tool.plain(),
        params=dict(step.params),
        determinism=_determinism(project, step),
        code=step.code,
        inputs=[Edge(role, item.step, list(item.reads)) for role, item in step.inputs.items()],
        targets=list(targets),
        state=view.state,
        status=_status(view, last),
        reasons=list(view.reasons),
        failure=ran.failure if ran else None,
        failed_at=ran.at if ran and ran.failure else "",
        key=view.key or (trace.key if trace else None),
        output=tree.digest if tree else None,
        size=tree.size if tree else view.size,
        size_known=tree is not None,
        here=tree is not None and project.store.has_tree(tree),
        seconds=trace.seconds if trace else None,
        made_at=trace.made.get("at", "") if trace else "",
        platform=trace.made.get("platform", "") if trace else "",
    )


def _determinism(project: Project, step: Step) -> str:
    # What is fetched is compared with its pin, so it is the same or it fails.
    fetched = step.kind is Kind.FETCH
    return "bit-exact" if fetched else project.find_step_tool(step).determinism


def _status(view: Outlook, last: LastRun) -> Status:
    if view.state == "fresh":
        ran = last.of(view.id)
        return "built" if ran and ran.change == "built" else "cached"
    before = last.steps.get(view.id)
    if before is not None and before.change in ("failed", "skipped"):
        return "failed" if before.change == "failed" else "skipped"
    return view.state
