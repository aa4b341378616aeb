"""What built targets are made of: the components of a bill of materials, and what each needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from ..core.cyclonedx import MODEL, Component, card, contents, licences, package, source
from ..core.digest import canonical
from ..core.licences import licences_of
from ..core.manifest import Model
from ..core.plan import Goal
from ..core.roles import CALIBRATION, TEXT, TOOLCHAIN
from ..core.scheduling.agenda import Agenda
from ..core.step import Kind, Step, StepId, Trace
from .history import history
from .measured import all_measures, goal_that_counts, numbers
from .project import Project

TYPES = {TEXT: "data", CALIBRATION: "data", TOOLCHAIN: "library"}
"""What a source is by the role it has; any other is a model, or an adapter of one."""


@dataclass(slots=True)
class Bill:
    """What was found so far: components and what each depends on, by reference. `missing` are
    targets that are not built as the manifest has them."""

    components: dict[str, Component] = field(default_factory=dict)
    below: dict[str, Set[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def add(self, component: Component, below: Set[str] = frozenset()) -> str:
        ref = str(component["bom-ref"])
        self.components.setdefault(ref, component)
        self.below[ref] = {*self.below.get(ref, ()), *below}
        return ref


def bill_of(project: Project, targets: Sequence[str]) -> Bill:
    """The targets that are built as the manifest has them, with all that they are made of."""
    bill = Bill()
    for target in targets:
        goal, agenda = goal_that_counts(project, target)
        traces = history(project, goal)
        if goal.model in traces:
            _add_target(bill, project, target, goal, agenda, traces)
        else:
            bill.missing.append(target)
    return bill


def _add_target(
    bill: Bill,
    project: Project,
    target: str,
    goal: Goal,
    agenda: Agenda,
    traces: Mapping[StepId, Trace],
) -> None:
    chain = {i: project.plan.steps[i] for i in project.plan.chain((goal.model, *goal.checks))}
    working = [step for step in chain.values() if step.kind is not Kind.FETCH]
    roles = {item.step: role for step in working for role, item in step.inputs.items()}
    made_of, texts = set(), set()
    for id_, step in chain.items():
        if step.kind is Kind.FETCH:
            type_ = TYPES.get(roles.get(id_, ""), MODEL)
            ref = bill.add(source(project.lock.sources[step.origin], type_))
            made_of.add(ref)
            if type_ == "data":
                texts.add(ref)
    for name, version in {item for step in working for item in step.tool.engine.items()}:
        made_of.add(bill.add(package(name, version)))
    tree = traces[goal.model].tree
    model = project.manifest.models[target.partition(":")[0]]
    facts = project.lock.sources[model.source].facts
    measured = all_measures(project, agenda, goal)
    notes = {
        "recipe": goal.recipe, "format": goal.format, "parameters": facts.get("parameters"),
        "key": traces[goal.model].key,
        **{f"step:{step.label.rpartition('/')[2]}": _made(step) for step in working},
    }  # fmt: skip
    told = card(facts.get("architecture"), texts, numbers(measured))
    bill.add(
        {
            "type": MODEL,
            "bom-ref": f"target:{target}",
            "name": target,
            "version": tree.digest,
            **licences(_names(project, model)),
            **({"modelCard": told} if told else {}),
            **contents(f"target:{target}", tree, notes),
        },
        made_of,
    )


def _made(step: Step) -> str:
    return canonical({"tool": step.tool.plain(), "params": dict(step.params)}).decode()


def _names(project: Project, model: Model) -> list[str]:
    return sorted({licence for _, licence, _ in licences_of(project.lock, model)})
