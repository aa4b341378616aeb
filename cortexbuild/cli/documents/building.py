"""`sync`, `pull`, `plan`, `why` and `lock` with `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from typing_extensions import TypedDict

from ...app.explain import Code, State
from ...app.fitted import Fitted
from ...core.lockchanges import Change
from ...core.needs import Needs
from ...remotes.send import Sent


class Summary(TypedDict):
    """How many steps ended how, and how long all of it took."""

    built: int
    pulled: int
    reused: int
    fresh: int
    failed: int
    skipped: int
    seconds: float


class Target(TypedDict):
    """A target after a sync. `wrong` says what it was judged bad for; then it is not in its place.
    `size` is in bytes, `digest` that of its tree."""

    target: str
    ok: bool
    wrong: list[str]
    path: str
    digest: str | None
    size: int | None


StepDocument = TypedDict(
    "StepDocument",
    {
        "step": str,
        "change": Literal["fresh", "built", "pulled", "reused", "failed", "skipped"],
        "seconds": float,
        "size": int,
        "from": list[str],
    },
)
StepDocument.__doc__ = (
    """A step that a sync came to. `from` are the remotes that it was pulled from."""
)


class FailureDocument(TypedDict):
    """`log` is the file with all that the step said, or empty."""

    message: str
    hint: str
    log: str


class NotSent(TypedDict):
    """Why nothing was pushed to a remote."""

    error: str


class Remote(TypedDict):
    """What the remotes gave and got. `ignored` counts results that were not believed, by why;
    `errors` are remotes that could not be used; `pushed` is by the remote's name."""

    hits: int
    misses: int
    ignored: Mapping[str, int]
    errors: Mapping[str, str]
    pushed: Mapping[str, Sent | NotSent]


class Sync(TypedDict):
    """What `sync` and `pull` did. `failures` are by the step's label."""

    summary: Summary
    targets: list[Target]
    steps: list[StepDocument]
    failures: Mapping[str, FailureDocument]
    remote: Remote


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


class Lock(TypedDict):
    """How two locks differ, or what `lock` changed; `sign` is `+`, `-` or `~`."""

    changes: list[Change]


class Rebuilt(TypedDict):
    """A step that was made twice: the paths that differ, and whether its tool promises the same."""

    step: str
    differ: list[str]
    promised: bool


class Rebuild(TypedDict):
    """What `verify --rebuild` found."""

    steps: list[Rebuilt]


class Recipe(TypedDict):
    """A recipe that targets may name."""

    recipe: str
    summary: str


class Recipes(TypedDict):
    """Every recipe that the manifest can use."""

    recipes: list[Recipe]


DOCUMENTS = {
    "sync/1": Sync,
    "plan/1": Plan,
    "why/1": Why,
    "lock/1": Lock,
    "rebuild/1": Rebuild,
    "recipes/1": Recipes,
}
