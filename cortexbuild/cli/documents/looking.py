"""`list`, `info`, `status`, `diff`, `report`, `generate`, `compare` with `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from ...app.compare import Written
from ...app.generate import TargetState


class Listed(TypedDict):
    """A target and its place. `size` is in bytes, `digest` that of its tree."""

    target: str
    state: TargetState
    format: str
    size: int | None
    path: str
    digest: str | None


class List(TypedDict):
    """The targets of the manifest."""

    targets: list[Listed]


class NeededMemory(TypedDict):
    """What running it takes, with a text of so many tokens."""

    bytes: int
    context: int


class Info(TypedDict):
    """What headers and configs tell of a model. A source that is not here yet has `origin`,
    `commit`, `bytes_to_fetch` and `files` besides, and no path. `code` are files that it asks to be
    run, which is done with `allow_code` alone."""

    name: NotRequired[str]
    format: NotRequired[str]
    reason: NotRequired[str]
    size_bytes: NotRequired[int]
    quantization: NotRequired[str]
    method: NotRequired[Mapping[str, Any] | None]
    parameters: NotRequired[int | None]
    context_length: NotRequired[int | None]
    architecture: NotRequired[str | None]
    experts: NotRequired[int | None]
    licence: NotRequired[str | None]
    base_model: NotRequired[str | None]
    has_lora_adapter: NotRequired[bool]
    is_fine_tuned: NotRequired[bool]
    warnings: NotRequired[list[str]]
    code: NotRequired[list[str] | None]
    path: NotRequired[str]
    memory: NotRequired[NeededMemory | None]
    origin: NotRequired[str]
    commit: NotRequired[str | None]
    bytes_to_fetch: NotRequired[int]
    files: NotRequired[list[str]]


class LockState(TypedDict):
    """`stale`: cortex.yaml wants something that cortex.lock has not."""

    state: Literal["missing", "stale", "current"]


class Status(TypedDict):
    """Lock, targets and steps; `free` is in bytes, on the disk of the store."""

    lock: LockState
    targets: Mapping[str, TargetState]
    steps: Mapping[str, int]
    free: int


class Side(TypedDict):
    """One of two targets: digests of its files by path, what was measured, and the types of its
    weights by name."""

    target: str
    size: int
    files: Mapping[str, str]
    measures: Mapping[str, Any]
    weights: Mapping[str, str]


class Made(TypedDict):
    """An ingredient of a step that differs; `at` is the way to it, with dots."""

    step: str
    at: str
    old: Any
    new: Any


class Diff(TypedDict):
    """How two targets differ."""

    sides: list[Side]
    made: list[Made]


class Report(TypedDict):
    """All that the report page shows: docs/reference/report.md says what each key is."""

    project: str
    at: str
    cortexbuild: str
    summary: Mapping[str, Mapping[str, int]]
    last_run: Mapping[str, Any] | None
    models: list[Mapping[str, Any]]
    targets: list[Mapping[str, Any]]
    steps: list[Mapping[str, Any]]
    sources: list[Mapping[str, Any]]
    bytes: Mapping[str, int]


class Generated(TypedDict):
    """What a target wrote. `seconds` is without loading it."""

    target: str
    prompt: str
    text: str
    digest: str
    seconds: float


class Compared(TypedDict):
    """What several targets made of one prompt."""

    prompt: str
    targets: list[Written]


class Place(TypedDict):
    """Where a target is, and whether it is as cortex.yaml wants it."""

    target: str
    path: str
    stale: bool


DOCUMENTS = {
    "list/1": List,
    "path/1": Place,
    "info/1": Info,
    "status/1": Status,
    "diff/1": Diff,
    "report/1": Report,
    "generate/1": Generated,
    "compare/1": Compared,
}
