"""The build loop: start what is ready, wait for what is running, repeat.

It knows neither why a step must run (`core/scheduling/agenda.py`), nor which comes first
(`core/scheduling/schedule.py`), nor how it runs (the executor).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..core.events import Change, Emit, Said, StepChanged
from ..core.ports import Done, Executor, Job
from ..core.scheduling.agenda import Agenda, Ready
from ..core.scheduling.schedule import UNBOUND, Line, Schedule
from ..core.step import Failure, StepId, Trace

AfterFailure: TypeAlias = Literal["finish", "go-on", "stop"]
"""`finish` what is running and start nothing new; `go-on` with all that can; or `stop` at once."""

AfterPull: TypeAlias = Literal["build", "fail"]
"""What becomes of a step whose output could not be pulled: `build` makes it here."""


@dataclass(frozen=True, slots=True)
class After:
    """How a build goes on after what did not work. Failures of `spared` steps stop only what needs
    them."""

    failure: AfterFailure = "finish"
    pull: AfterPull = "build"
    spared: Set[StepId] = frozenset()


AS_USUAL = After()


def keep_all() -> None:
    """No bytes are let go."""


def build(
    agenda: Agenda,
    executor: Executor,
    job_of: Callable[[Ready], Job],
    emit: Emit,
    *,
    after: After = AS_USUAL,
    schedule: Schedule = UNBOUND,
    let_go: Callable[[], None] = keep_all,
) -> dict[StepId, Failure]:
    """Run or pull what must be, as the schedule has it. A failed step stops what needs it; what
    else it stops is up to `after`. `let_go` may take bytes away that are spent, whenever a step
    has ended. Gives the failures."""
    failed: dict[StepId, Failure] = {}
    running: dict[StepId, Ready] = {}
    stopping = False
    line = Line(schedule)

    def say(id_: StepId, change: Change, detail: str = "", trace: Trace | None = None) -> None:
        seconds = (trace.seconds or 0.0) if trace is not None else 0.0
        size = trace.tree.size if trace is not None else 0
        emit(StepChanged(id_, agenda.plan.steps[id_].label, change, detail, seconds, size))

    def fail(failures: Mapping[StepId, Failure]) -> None:
        nonlocal stopping
        for id_, failure in failures.items():
            failed[id_] = failure
            stopping = stopping or id_ not in after.spared
            agenda.fail(id_)
            say(id_, "failed", failure.message)

    fail(schedule.too_large)
    while True:
        ready_now, gone = agenda.news()
        line.withdraw(gone)
        fail(line.join(ready_now))
        if after.failure == "go-on" or not stopping:
            # Lost workers can make free() negative; a cluster still starting makes it zero.
            for group in line.start(max(executor.free(), 0 if running else 1)):
                running |= {ready.id: ready for ready in group}
                _begin(agenda, group, say)
                executor.start(*map(job_of, group))
        if not running or (stopping and after.failure == "stop"):
            break
        done = executor.wait()
        was_pull = running.pop(done.id).pull is not None
        line.leave(done.id)
        if not isinstance(done.outcome, Failure):
            agenda.finish(done.id, done.outcome)
            if was_pull and not done.reused:
                emit(_pulled(agenda, done))
            else:
                say(done.id, "reused" if done.reused else "built", trace=done.outcome)
            let_go()
        elif was_pull and after.pull == "build":
            label = agenda.plan.steps[done.id].label
            emit(Said(f"{label} could not be pulled, so it is built: {done.outcome.message}"))
            agenda.build_instead(done.id)
        else:
            fail({done.id: done.outcome})

    for id_ in agenda.unfinished():
        say(id_, "skipped")
    assert failed or not agenda.unfinished(), "steps remain but none can start"
    return failed


def _begin(agenda: Agenda, group: Sequence[Ready], say: Callable[[StepId, Change], None]) -> None:
    for ready in group:
        agenda.start(ready.id)
        say(ready.id, "started")


def _pulled(agenda: Agenda, done: Done) -> StepChanged:
    label, size = agenda.plan.steps[done.id].label, sum(done.pulled.values())
    return StepChanged(done.id, label, "pulled", ", ".join(sorted(done.pulled)), done.seconds, size)
