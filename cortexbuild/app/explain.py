"""`plan` and `why`: what would run, and which ingredient of which step is not what it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ..core.digest import Plain, Tree
from ..core.needs import FETCH_NEEDS, Capacity
from ..core.plan import Scope
from ..core.scheduling.agenda import Agenda
from ..core.scheduling.forecast import Forecast, Foreseen, forecast
from ..core.step import Difference, Kind, Step, StepId, StepKey, explain
from .estimates import Estimate, estimates, last_trace, needs_of, will_run
from .intermediates import between
from .project import Project

State: TypeAlias = Literal["fresh", "remote", "will-run", "may-run"]
Code: TypeAlias = Literal[
    "never-built", "source-moved", "input-changed", "param-changed", "tool-changed",
    "kind-version-changed", "salt-changed", "output-missing", "forced",
]  # fmt: skip
"""The closed set of reasons for which a step runs."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a step runs. `where` is the manifest's or recipe's line that says the new value.

    `input` is a role, and `upstream` the label of the step that makes it. What is not `certain`
    depends on what that step will make.
    """

    code: Code
    text: str
    where: str = ""
    input: str = ""
    upstream: str = ""
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of a step before anything runs.

    `key_if_unchanged` is the key it was last made under. `tree` is its output as far as it is
    known, `inputs` those of the steps it reads, by role; `here` says whether the output's bytes
    are in the store. `size` is in bytes and `seconds` what it took the last time:
    estimates. `coming` is there for all but fresh ones.
    """

    id: StepId
    step: Step
    state: State
    key: StepKey | None
    key_if_unchanged: StepKey | None
    reasons: Sequence[Reason]
    tree: Tree | None
    inputs: Mapping[str, Tree | None]
    here: bool
    size: int
    seconds: float | None
    coming: Foreseen | None


def outlook(project: Project, scope: Scope) -> list[Outlook]:
    """Every step that a build of that scope stands on, in plan order."""
    agenda, forced = project.agenda(scope), project.plan.forced(scope)
    chain = project.plan.chain(project.plan.ends(scope))
    foreseen, certain = estimates(project, agenda, chain), will_run(project, agenda)
    views = []
    for id_ in chain:
        step, found = project.plan.steps[id_], agenda.state(id_)
        state: State = "fresh" if found == "unneeded" else "will-run" if certain(id_) else found
        runs = state in ("will-run", "may-run")
        reasons = _reasons(project, agenda, id_, step) if runs else []
        if id_ in forced:
            reasons = [Reason("forced", "is forced to")]
        tree = agenda.tree(id_)
        views.append(
            Outlook(
                id=id_,
                step=step,
                state=state,
                key=agenda.keys.get(id_),
                key_if_unchanged=project.last.get(step.label),
                reasons=reasons,
                tree=tree,
                inputs={role: agenda.tree(item.step) for role, item in step.inputs.items()},
                here=tree is not None and project.store.has_tree(tree),
                size=foreseen[id_].size,
                seconds=foreseen[id_].took,
                coming=_coming(project, step, foreseen[id_], state),
            )
        )
    return views


def _coming(project: Project, step: Step, estimate: Estimate, state: State) -> Foreseen | None:
    if state == "fresh":
        return None
    pulled = state == "remote"
    needs = FETCH_NEEDS if pulled else needs_of(project, step, estimate.inputs)
    return Foreseen(estimate.size, estimate.seconds, needs)


def foresee(
    project: Project, steps: Iterable[Outlook], capacity: Capacity, *, keep: bool
) -> Forecast:
    """What a build of these steps comes to; `keep` says whether intermediates stay."""
    coming = {view.id: view.coming for view in steps if view.coming}
    passing = frozenset() if keep else between(project.plan)
    return forecast(project.plan, coming, capacity, passing)


def _reasons(project: Project, agenda: Agenda, id_: StepId, step: Step) -> list[Reason]:
    if id_ in agenda.traces:
        return [Reason("output-missing", "what it made is not here any more")]
    last = last_trace(project, step)
    if last is None:
        if step.kind is Kind.FETCH:
            return [Reason("never-built", "was never brought here")]
        return [Reason("never-built", "was never made")]
    known: dict[str, Tree] = {}
    unknown = []
    for role, item in step.inputs.items():
        tree = agenda.tree(item.step)
        if item.reads and tree is None:
            unknown.append(role)
        elif tree is not None:
            known[role] = tree
    reasons = []
    now = _without_unknown(step, known, project.manifest.cache.salt)
    for difference in explain(now, {**last.ingredients, "inputs": _only(last.ingredients, known)}):
        reasons.append(_reason(project, step, difference))
    for role in unknown:
        upstream = project.plan.steps[step.inputs[role].step].label
        text = f"if what {upstream} makes has changed"
        reasons.append(Reason("input-changed", text, "", role, upstream, certain=False))
    return reasons


def _without_unknown(step: Step, known: Mapping[str, Tree], salt: str) -> Mapping[str, Plain]:
    inputs = {role: item for role, item in step.inputs.items() if role in known}
    return replace(step, inputs=inputs).ingredients(known, salt)


def _only(ingredients: Mapping[str, Plain], known: Mapping[str, Tree]) -> dict[str, Plain]:
    inputs = ingredients.get("inputs")
    if not isinstance(inputs, Mapping):
        return {}
    return {role: value for role, value in inputs.items() if role in known}


def _reason(project: Project, step: Step, difference: Difference) -> Reason:
    top, text = difference.at[0], str(difference)
    match difference.at:
        case ("params", setting, *_):
            return Reason("param-changed", text, _where(project, step, setting))
        case ("inputs", role, *_) if role in step.inputs:
            upstream = project.plan.steps[step.inputs[role].step].label
            return Reason("input-changed", text, "", role, upstream)
        case ("tool", "revision"):
            return Reason("kind-version-changed", text)
    codes: Mapping[str, Code] = {
        "tool": "tool-changed",
        "tree": "source-moved",
        "salt": "salt-changed",
        "schema": "kind-version-changed",
    }
    return Reason(codes.get(top, "input-changed"), text)


def _where(project: Project, step: Step, setting: str) -> str:
    """The line that sets a parameter: in the target's `set:`, or else in its recipe."""
    name = step.label.partition("/")[0]
    model, _, target = name.partition(":")
    entry = project.manifest.models.get(model)
    found = entry.targets.get(target) if entry else None
    if found is None:
        return ""
    if setting in found.set:
        return project.manifest.place("models", model, "targets", target, "set", setting)
    recipe = project.recipes.get(found.recipe)  # none for `auto`
    for number, item in enumerate(recipe.steps if recipe else ()):
        if recipe and item.do == step.kind.value and setting in item.set:
            return recipe.place("steps", number, "set", setting)
    return project.manifest.place("models", model, "targets", target)
