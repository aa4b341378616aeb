"""What happens during a build, as values. The command line draws them; tests read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .step import StepId

Change: TypeAlias = Literal["fresh", "started", "built", "pulled", "reused", "failed", "skipped"]
"""`started`: again with a `detail`, when another machine began with it. `pulled`: brought from a
remote, which `detail` names; `size` is of what came. `reused`: another process made it meanwhile.
`skipped`: a step it needs failed."""


@dataclass(frozen=True, slots=True)
class StepChanged:
    step: StepId
    label: str
    change: Change
    detail: str = ""
    seconds: float = 0.0
    size: int = 0


@dataclass(frozen=True, slots=True)
class StepMoved:
    """How far a running step is: in bytes, where its kind makes or moves them."""

    label: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence for the user: a warning, or what a step waits for."""

    text: str


@dataclass(frozen=True, slots=True)
class StepLogged:
    """A line that a running step wrote to its log."""

    label: str
    text: str


Event: TypeAlias = StepChanged | StepMoved | StepLogged | Said
Emit: TypeAlias = Callable[[Event], None]
