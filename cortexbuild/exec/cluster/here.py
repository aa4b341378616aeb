"""What is done on the client's own machine: sources read, contents sent and brought."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from ...core.events import Event, Said, StepChanged, StepMoved
from ...core.ports import Job
from ..errand import Errand
from ..pool import Pool

AT_ONCE = 4

Then = Callable[[Any], None]


def told(tell: Callable[[Event], None], job: Job, what: str, value: Any, where: str = "") -> None:
    """What a child said of a step, as an event; `where` is its worker."""
    if what == "started":
        tell(StepChanged(job.id, job.step.label, "started", f"on {where}"))
    elif what == "moved":
        tell(StepMoved(job.step.label, *value))
    else:
        tell(Said(f"{where}: {value}" if where else value))


class Here:
    """Work in children of `pool`, some at once. What comes of it, and what is told meanwhile, is
    given to `put`, as a call that the thread makes which reads there."""

    def __init__(self, pool: Pool, put: Callable[[str, Any], None]) -> None:
        self._pool, self._put = pool, put
        self._threads = ThreadPoolExecutor(AT_ONCE)
        self.busy = 0

    def run(self, work: Job | Errand, tell: Callable[[str, Any], None], then: Then) -> None:
        """Have it done; `then` hears what came of it: a Done, a Failure, or None of an errand."""
        self.ask(partial(self._pool.run, work, partial(self._later, tell)), then)

    def ask(self, question: Callable[[], Any], then: Then) -> None:
        """Ask something that takes a while: `then` hears the answer."""
        self.busy += 1
        ended = self._threads.submit(question)
        ended.add_done_callback(lambda ended: self._put("here", partial(self._end, then, ended)))

    def close(self) -> None:
        self._pool.close()  # so that no thread waits for a child
        self._threads.shutdown(cancel_futures=True)

    def _end(self, then: Then, ended: Future[Any]) -> None:
        self.busy -= 1
        then(ended.result())

    def _later(self, tell: Callable[[str, Any], None], what: str, value: Any) -> None:
        self._put("here", partial(tell, what, value))
