"""`cortexbuild compare`: what several built targets make of one prompt."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..core.ports import LoadedModel, Sampling
from .generate import Built, find_built, load_built
from .measured import all_measures, goal_that_counts, numbers
from .project import Project


@dataclass(frozen=True, slots=True)
class Written:
    """What one target wrote. `seconds` is without loading and warming up; `tokens` are those of
    `text`; `kl` is as it was measured when the target was built."""

    target: str
    text: str
    seconds: float
    tokens: int
    size: int
    digest: str
    kl: float | None


def find_all(project: Project, patterns: Sequence[str]) -> list[Built]:
    """The built targets that patterns name, each once, in that order.

    Raises ToolError when one of them is not built, IntegrityError when one is damaged.
    """
    names = [name for pattern in patterns for name in project.plan.select([pattern])]
    return [find_built(project, name) for name in dict.fromkeys(names)]


def write_each(
    project: Project,
    targets: Sequence[Built],
    prompt: str,
    sampling: Sampling,
    tell: Callable[[str], None],
) -> list[Written]:
    """One after the other: a model is let go before the next is loaded. `tell` hears of each."""
    found = []
    for built in targets:
        tell(built.target)
        found.append(_write(project, built, prompt, sampling))
        gc.collect()  # engines have cycles, and two large models may not fit
    return found


def _write(project: Project, built: Built, prompt: str, sampling: Sampling) -> Written:
    model = load_built(project, built)
    for _ in model.generate(prompt, replace(sampling, max_tokens=1)):
        pass  # engines compile and load what they need at the first token
    started = time.monotonic()
    text = "".join(model.generate(prompt, sampling))
    seconds = time.monotonic() - started
    goal, agenda = goal_that_counts(project, built.target)
    kl = numbers(all_measures(project, agenda, goal)).get("kl")
    return Written(
        target=built.target,
        text=text,
        seconds=seconds,
        tokens=_count(model, text),
        size=built.tree.size,
        digest=built.tree.digest,
        kl=kl if not built.stale else None,
    )


def _count(model: LoadedModel, text: str) -> int:
    """The tokens of a text without those that the model expects in front of one."""
    return max(0, len(model.encode(text)) - len(model.encode("")))
