"""`sync`, `pull`, `lock`, `verify --rebuild` and `recipes` with `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from typing_extensions import TypedDict

from ...core.lockchanges import Change
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
    "lock/1": Lock,
    "rebuild/1": Rebuild,
    "recipes/1": Recipes,
}
