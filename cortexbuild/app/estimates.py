"""What steps will take before they run: bytes, seconds, and what of the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ..core.needs import FETCH_NEEDS, Capacity, Needs
from ..core.roles import MODEL
from ..core.scheduling.agenda import Agenda, Ready
from ..core.scheduling.schedule import Schedule, misfit, ways
from ..core.step import Failure, Kind, Step, StepId, Trace, spec_digest
from .project import Project
from .together import MayJoin, none_joins, together

BYTES_PER_SECOND: Mapping[Kind, float] = {
    Kind.FETCH: 50e6, Kind.DETECT: 1e12, Kind.CONVERT: 200e6,
    Kind.MEASURE: 20e6, Kind.QUANTIZE: 50e6, Kind.VALIDATE: 20e6,
}  # fmt: skip
"""Roughly, of what is read, on a machine of two cores: for what was never made here before."""


Refuse: TypeAlias = Callable[[Step, Needs], Failure | None]
"""Why a step cannot be run at all; None where it can."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one step: the bytes of its inputs by role and those that it makes, the seconds that it
    `took` the last time, and those that it will take."""

    inputs: Mapping[str, int]
    size: int
    took: float | None
    seconds: float


def estimates(
    project: Project, agenda: Agenda, steps: Iterable[StepId]
) -> Mapping[StepId, Estimate]:
    """Of `steps`, which come in plan order and with all that they stand on."""
    found: dict[StepId, Estimate] = {}
    for id_ in steps:
        step = project.plan.steps[id_]
        inputs = {}
        for role, item in step.inputs.items():
            if item.reads:
                known = agenda.tree(item.step)
                inputs[role] = known.size if known else found[item.step].size
        tree = agenda.tree(id_)
        size = tree.size if tree else _predicted(project, step, inputs)
        last = last_trace(project, step)
        took = last.seconds if last else None
        handled = size if step.kind is Kind.FETCH else sum(inputs.values())
        seconds = took if took is not None else 1 + handled / BYTES_PER_SECOND[step.kind]
        found[id_] = Estimate(inputs, size, took, seconds)
    return found


def needs_of(project: Project, step: Step, inputs: Mapping[str, int]) -> Needs:
    """What a step takes while it runs with inputs of so many bytes, by role."""
    if step.kind is Kind.FETCH:
        return FETCH_NEEDS
    tool = project.find_step_tool(step)
    return tool.needs(tool.params.from_plain(step.params), inputs)


def last_trace(project: Project, step: Step) -> Trace | None:
    """What is recorded of a step's last time."""
    key = project.last.get(step.label)
    return project.store.read_trace(key) if key is not None else None


def will_run(project: Project, agenda: Agenda) -> Callable[[StepId], bool]:
    """Tells whether it is certain that a step runs: it is known to have to; or it may have to, and
    there is no record of any such work, so that nothing can be found."""
    specs = {id_: spec_digest(step.spec) for id_, step in project.plan.steps.items()}
    known = project.store.known_specs(specs.values())

    def certain(id_: StepId) -> bool:
        state = agenda.state(id_)
        return state == "will-run" or (state == "may-run" and specs[id_] not in known)

    return certain


def schedule_of(
    project: Project, agenda: Agenda, capacity: Capacity, refuse: Refuse | None = None,
    may_join: MayJoin = none_joins,
) -> Schedule:  # fmt: skip
    """How what an agenda has to run is run on a machine of that `capacity`; or on others, which
    `refuse` steps that none of them could run. Those that `may_join` run in one go where their
    tool can."""
    foreseen = estimates(project, agenda, project.plan.chain(agenda.unfinished()))

    def needs(ready: Ready) -> Needs:
        if ready.pull is not None:
            return FETCH_NEEDS
        trees = {role: agenda.tree(ready.step.inputs[role].step) for role in ready.inputs}
        sizes = {role: tree.size for role, tree in trees.items() if tree}
        return needs_of(project, ready.step, sizes)

    def ways_from() -> Mapping[StepId, float]:
        return ways(project.plan, {id_: one.seconds for id_, one in foreseen.items()})

    why = refuse or (lambda _step, taken: misfit(taken, capacity))
    certain, too_large = will_run(project, agenda), dict[StepId, Failure]()
    for id_ in agenda.unfinished():
        taken = needs_of(project, project.plan.steps[id_], foreseen[id_].inputs)
        if certain(id_) and (failure := why(project.plan.steps[id_], taken)):
            too_large[id_] = failure
    return Schedule(capacity, needs, ways_from, too_large, together(project, may_join))


def _predicted(project: Project, step: Step, inputs: Mapping[str, int]) -> int:
    tool = project.find_step_tool(step)
    return tool.predict(tool.params.from_plain(step.params), inputs.get(MODEL, 0))
