"""The build loop: start what is ready, wait for what is running, repeat.

It knows neither why a step must run (`core/agenda.py`) nor how it runs (the executor).
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Literal, TypeAlias

from ..core.agenda import Agenda, Ready
from ..core.events import Change, Emit, StepChanged
from ..core.ports import Executor, Job
from ..core.step import Failure, StepId, Trace

AfterFailure: TypeAlias = Literal["finish", "go-on", "stop"]
"""`finish` what is running and start nothing new; `go-on` with all that can; or `stop` at once."""


def build(
    agenda: Agenda,
    executor: Executor,
    job_of: Callable[[Ready], Job],
    emit: Emit,
    *,
    after_failure: AfterFailure = "finish",
    spared: Set[StepId] = frozenset(),
) -> dict[StepId, Failure]:
    """Run what must run. A failed step stops what needs it; what else it stops is up to
    `after_failure`, unless it is `spared`. Gives the failures."""
    failed: dict[StepId, Failure] = {}
    running = 0

    def say(id_: StepId, change: Change, detail: str = "", trace: Trace | None = None) -> None:
        seconds = float(trace.made.get("seconds", 0)) if trace is not None else 0.0
        size = trace.tree.size if trace is not None else 0
        label = agenda.plan.steps[id_].label
        emit(StepChanged(id_, label, change, detail, seconds, size))

    while True:
        stopping = bool(failed.keys() - spared)
        if after_failure == "go-on" or not stopping:
            # Lost workers can make free() negative; a cluster still starting makes it zero.
            room = max(executor.free(), 0 if running else 1)
            for ready in agenda.take(room):
                running += 1
                say(ready.id, "started")
                executor.start(job_of(ready))
        if not running or (stopping and after_failure == "stop"):
            break
        done = executor.wait()
        running -= 1
        if isinstance(done.outcome, Failure):
            failed[done.id] = done.outcome
            agenda.fail(done.id)
            say(done.id, "failed", done.outcome.message)
        else:
            agenda.finish(done.id, done.outcome)
            say(done.id, "reused" if done.reused else "built", trace=done.outcome)

    for id_ in agenda.unfinished():
        say(id_, "skipped")
    assert failed or not agenda.unfinished(), "steps remain but none can start"
    return failed
