"""How a sync is run, and the builds that it comes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from ..core.events import Emit, StepChanged
from ..core.needs import UNBOUND, Capacity
from ..core.plan import Scope
from ..core.ports import Executor, Job
from ..core.scheduling.agenda import Agenda, Ready
from ..core.step import Failure, StepId
from .build import AS_USUAL, After, build, keep_all
from .climb import Climb
from .estimates import Refuse, schedule_of
from .intermediates import Drop, Intermediates
from .project import Project
from .together import MayJoin, none_joins

Failures: TypeAlias = dict[StepId, Failure]


@dataclass(frozen=True, slots=True)
class Course:
    """How a sync is run: on a machine of what `capacity`, and how it goes on `after` what did not
    work. With `drop`, bytes of intermediates go as soon as nothing needs them. Where steps run on
    other machines, those `refuse` what none of them could run. Steps that `may_join` run in one go
    with others, where their tool can do them together."""

    capacity: Capacity = UNBOUND
    after: After = AS_USUAL
    drop: Drop | None = None
    refuse: Refuse | None = None
    may_join: MayJoin = none_joins


PLAIN = Course()


@dataclass(slots=True)
class Builds:
    """What one sync builds: its scope, and then what is tried instead of what was no good."""

    project: Project
    executor: Executor
    job_of: Callable[[Ready], Job]
    emit: Emit
    course: Course
    _agendas: list[Agenda] = field(default_factory=list)

    def build(
        self, agenda: Agenda, scope: Scope, climbs: Sequence[Climb]
    ) -> tuple[Agenda, Failures]:
        """Gives the agenda that was built, which is without what cannot be, and the failures.
        `climbs` are those of which it is not known where they end."""
        if not agenda.unfinished():
            return agenda, {}
        project, course = self.project, self.course
        schedule = schedule_of(project, agenda, course.capacity, course.refuse, course.may_join)
        if schedule.too_large:
            agenda = _without(project, scope, agenda, schedule.too_large.keys(), self.emit)
        self._agendas.append(agenda)
        failed = build(
            agenda, self.executor, self.job_of, self.emit,
            after=replace(course.after, spared=_only_tried(project, scope, climbs)),
            schedule=schedule, let_go=self._letting_go(climbs),
        )  # fmt: skip
        return agenda, failed

    def finish(self) -> None:
        """Nothing more will be tried."""
        self._letting_go(())()

    def _letting_go(self, climbs: Sequence[Climb]) -> Callable[[], None]:
        if self.course.drop is None:
            return keep_all
        later = frozenset[StepId]().union(*(climb.later() for climb in climbs))
        passing = Intermediates(self.project.plan, self.course.drop, later)
        return partial(passing.let_go, self._agendas)


def _without(
    project: Project, scope: Scope, agenda: Agenda, barred: Set[StepId], emit: Emit
) -> Agenda:
    """An agenda for the targets that need none of these steps; tells what the others miss."""
    plan = project.plan

    def chain(*targets: str) -> Sequence[StepId]:
        return plan.chain(plan.ends(replace(scope, targets=targets)))

    targets = tuple(name for name in scope.targets if barred.isdisjoint(chain(name)))
    rest = frozenset(chain(*targets))
    for id_ in chain(*scope.targets):
        if id_ not in rest | barred and agenda.state(id_) not in ("fresh", "unneeded"):
            emit(StepChanged(id_, plan.steps[id_].label, "skipped"))
    ends = plan.ends(replace(scope, targets=targets))
    return project.agenda_to(ends, plan.forced(scope) & rest)


def _only_tried(project: Project, scope: Scope, climbs: Sequence[Climb]) -> frozenset[StepId]:
    """Steps whose failure need not stop a build: targets that want them have other ways."""
    climbing = {climb.target for climb in climbs}
    others = tuple(target for target in scope.targets if target not in climbing)
    needed = project.plan.chain(project.plan.ends(replace(scope, targets=others, force="")))
    return frozenset().union(*(climb.own_steps() for climb in climbs)).difference(needed)
