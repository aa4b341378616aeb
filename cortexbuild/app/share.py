"""What others get of what was built here, and what there is for us: `push` and `pull`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..core.plan import Scope
from ..core.step import StepId, Trace
from .history import history
from .measured import goal_that_counts, problems_of
from .project import Project


@dataclass(frozen=True, slots=True)
class Parcel:
    """A record on its way to others; with its contents, or as what others' keys stand on."""

    trace: Trace
    whole: bool


@dataclass(frozen=True, slots=True)
class Parcels:
    """`left_out` says of targets why nothing of them is sent."""

    parcels: Sequence[Parcel]
    left_out: Mapping[str, str]


def parcels(project: Project, targets: Sequence[str], *, closure: bool = False) -> Parcels:
    """What to send of targets that are built here and are good.

    The contents are those of the results, of what was measured of them and of their licences:
    from these records and the records of what lies between, another machine finds all results
    without a source and without an intermediate. The `closure` has the contents of those, too.
    """
    chosen: dict[StepId, Parcel] = {}
    left_out = {}
    for target in targets:
        goal, agenda = goal_that_counts(project, target)
        if not agenda.is_done(goal):
            left_out[target] = "it is not built here as cortex.yaml has it"
        elif problems := problems_of(project, agenda, goal):
            left_out[target] = "; ".join(problems)
        else:
            for id_, trace in history(project, goal).items():
                whole = id_ in goal.ends or (closure and project.store.has_tree(trace.tree))
                if id_ not in chosen or whole:
                    chosen[id_] = Parcel(trace, whole)
    return Parcels(list(chosen.values()), left_out)


def unavailable(project: Project, targets: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Targets that cannot be had without building, and the steps that would have to run."""
    for target in targets:
        scope = Scope((target,))
        agenda = project.agenda(scope)
        chain = project.plan.chain(project.plan.ends(scope))
        states = {id_: agenda.state(id_) for id_ in chain}
        runs = [id_ for id_, state in states.items() if state in ("will-run", "may-run")]
        if runs:
            yield target, [project.plan.steps[id_].label for id_ in runs]
