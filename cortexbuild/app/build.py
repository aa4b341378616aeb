"""The build loop: start what is ready, wait for what is running, repeat.

It knows neither why a step must run (`core/agenda.py`) nor how it runs (the executor).
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..core.agenda import Agenda, Ready
from ..core.events import Change, Emit, Said, StepChanged
from ..core.ports import Done, Executor, Job
from ..core.step import Failure, StepId, Trace

AfterFailure: TypeAlias = Literal["finish", "go-on", "stop"]
"""`finish` what is running and start nothing new; `go-on` with all that can; or `stop` at once."""

AfterPull: TypeAlias = Literal["build", "fail"]
"""What becomes of a step whose output could not be pulled: `build` makes it here."""


@dataclass(frozen=True, slots=True)
class After:
    """How a build goes on after what did not work."""

    failure: AfterFailure = "finish"
    pull: AfterPull = "build"


AS_USUAL = After()


def build(
    agenda: Agenda,
    executor: Executor,
    job_of: Callable[[Ready], Job],
    emit: Emit,
    *,
    after: After = AS_USUAL,
    spared: Set[StepId] = frozenset(),
) -> dict[StepId, Failure]:
    """Run or pull what must be. A failed step stops what needs it; what else it stops is up to
    `after`, unless it is `spared`. Gives the failures."""
    failed: dict[StepId, Failure] = {}
    running: dict[StepId, Ready] = {}

    def say(id_: StepId, change: Change, detail: str = "", trace: Trace | None = None) -> None:
        seconds = float(trace.made.get("seconds", 0)) if trace is not None else 0.0
        size = trace.tree.size if trace is not None else 0
        emit(StepChanged(id_, agenda.plan.steps[id_].label, change, detail, seconds, size))

    while True:
        stopping = bool(failed.keys() - spared)
        if after.failure == "go-on" or not stopping:
            # Lost workers can make free() negative; a cluster still starting makes it zero.
            room = max(executor.free(), 0 if running else 1)
            for ready in agenda.take(room):
                running[ready.id] = ready
                say(ready.id, "started")
                executor.start(job_of(ready))
        if not running or (stopping and after.failure == "stop"):
            break
        done = executor.wait()
        was_pull = running.pop(done.id).pull is not None
        if not isinstance(done.outcome, Failure):
            agenda.finish(done.id, done.outcome)
            if was_pull and not done.reused:
                emit(_pulled(agenda, done))
            else:
                say(done.id, "reused" if done.reused else "built", trace=done.outcome)
        elif was_pull and after.pull == "build":
            label = agenda.plan.steps[done.id].label
            emit(Said(f"{label} could not be pulled, so it is built: {done.outcome.message}"))
            agenda.build_instead(done.id)
        else:
            failed[done.id] = done.outcome
            agenda.fail(done.id)
            say(done.id, "failed", done.outcome.message)

    for id_ in agenda.unfinished():
        say(id_, "skipped")
    assert failed or not agenda.unfinished(), "steps remain but none can start"
    return failed


def _pulled(agenda: Agenda, done: Done) -> StepChanged:
    label, size = agenda.plan.steps[done.id].label, sum(done.pulled.values())
    return StepChanged(done.id, label, "pulled", ", ".join(sorted(done.pulled)), done.seconds, size)
