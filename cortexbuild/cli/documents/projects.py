"""`init`, `add`, `remove`, `import`, `outdated`, `doctor`, `log` and `watch` with `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired

from typing_extensions import TypedDict

from ...sources._found.found import Found
from ..doctor.finding import Level
from ..hardware import Hardware
from ..imports.carry import Entry, Left


class Offered(TypedDict):
    """A model that was found, and what it would be built into; `problem` is why not. `size` is in
    bytes."""

    found: Found
    name: str
    source: str
    size: int
    recipe: str
    problem: str


class Begun(TypedDict):
    """The manifest that was written, and what it was made from."""

    manifest: str
    machine: Hardware
    models: list[Offered]


class Added(TypedDict):
    """The entry that a manifest has now. Where it was locked too, what was pinned: `bytes` are
    those of the source, `writes` those that building it would write."""

    model: str
    source: str
    targets: list[str]
    commit: NotRequired[str | None]
    files: NotRequired[int]
    bytes: NotRequired[int]
    parameters: NotRequired[int | None]
    licence: NotRequired[str | None]
    format: NotRequired[str | None]
    writes: NotRequired[int]


class Removed(TypedDict):
    """Targets that the manifest has no more."""

    removed: list[str]


class Imported(TypedDict):
    """What a file of another program came to, and what of it was left out."""

    models: list[Entry]
    policy: Mapping[str, Any]
    left: list[Left]


class Pin(TypedDict):
    """A source at a moment; `size` is in bytes."""

    commit: str | None
    date: str | None
    size: int


class Standing(TypedDict):
    """A source as it is locked and as it is now. `files` are those that differ, `bytes` what would
    have to be fetched, if that is known."""

    origin: str
    models: list[str]
    moved: bool
    locked: Pin | None
    newest: Pin | None
    files: list[str]
    bytes: int | None
    problem: str | None


class Engine(TypedDict):
    """A version of a tool, and of what it calls."""

    name: str
    revision: int
    engine: Mapping[str, str]


class Engines(TypedDict):
    """A tool as the lock has it, and as it is here."""

    locked: Engine
    here: Engine


class Outdated(TypedDict):
    """What has moved on since it was locked; `tools` has those that differ, by name."""

    sources: list[Standing]
    tools: Mapping[str, Engines]


class Finding(TypedDict):
    """What a check found; `mend` puts it right."""

    check: str
    level: Level
    what: str
    mend: str


class Examined(TypedDict):
    """`ok`: nothing is wrong that keeps cortexbuild from working."""

    ok: bool
    findings: list[Finding]


class Log(TypedDict):
    """What a step said when it last ran."""

    step: str
    path: str
    lines: list[str]


class Logs(TypedDict):
    """The logs of the last run of each step."""

    logs: list[Log]


class Watched(TypedDict):
    """One round of `watch`, which prints one such document after each: whether all was built, and
    how many files are looked at."""

    at: str
    ok: bool
    files: int


DOCUMENTS = {
    "init/1": Begun,
    "add/1": Added,
    "remove/1": Removed,
    "import/1": Imported,
    "outdated/1": Outdated,
    "doctor/1": Examined,
    "watch/1": Watched,
    "log/1": Logs,
}
