"""`plan` and `why` with `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from typing_extensions import TypedDict

from ...app.explain import Code, State
from ...app.fitted import Fitted
from ...core.needs import Needs


class Reason(TypedDict):
    """Why a step would run. `where` is a line of the manifest or a recipe, `upstream` the label of
    the step that makes the `input`; what is not `certain` depends on what that one makes."""

    code: Code
    text: str
    where: str | None
    input: str | None
    upstream: str | None
    certain: bool


class Input(TypedDict):
    """Where an input comes from, and the digest of its tree, as far as it is known."""

    step: str | None
    artifact: str | None


class Output(TypedDict):
    """`artifact` is the digest of a tree, if it is known; the estimate is in bytes."""

    artifact: str | None
    size_estimate: int


class Cached(TypedDict):
    """Where the output's bytes are. `remote` is null where no remote was asked."""

    local: bool
    remote: bool | None


class PlannedStep(TypedDict):
    """A step of a plan. `key` is null while an input is not known, `key_if_unchanged` is the one
    it was last made under; `seconds_estimate` is what it took the last time."""

    id: str
    kind: str
    code: bool
    state: State
    key: str | None
    key_if_unchanged: str | None
    reasons: list[Reason]
    inputs: Mapping[str, Input]
    outputs: list[Output]
    cache: Cached
    seconds_estimate: float | None
    pool: Literal["net", "cpu"]
    needs: Needs | None


class PlannedTarget(TypedDict):
    """`fit` is there for targets with a budget."""

    target: str
    note: str | None
    fit: Fitted | None


class PlanSummary(TypedDict):
    """How many steps are in which state."""

    fresh: int
    remote: int
    will_run: int
    may_run: int


class Disk(TypedDict):
    """In bytes: written in all, the most that is there at once, and what is free."""

    needed: int
    at_once: int
    free: int


class Memory(TypedDict):
    """In bytes: the most that steps take at once, and what they may take."""

    at_once: int
    limit: int


class Plan(TypedDict):
    """What a sync would do."""

    summary: PlanSummary
    targets: list[PlannedTarget]
    steps: list[PlannedStep]
    disk: Disk
    memory: Memory


class ExplainedStep(TypedDict):
    """A step, and why it would run."""

    id: str
    state: State
    key: str | None
    reasons: list[Reason]


class Why(TypedDict):
    """The steps that a target stands on, and which ingredients changed."""

    targets: list[str]
    steps: list[ExplainedStep]


DOCUMENTS = {"plan/1": Plan, "why/1": Why}
