"""What a check looks at, and what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from ...core.access import Mode
from ...core.lock import Lock
from ...core.manifest import Manifest

Level: TypeAlias = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`mend` is a command, or what else puts it right; empty where nothing is wrong."""

    level: Level
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Ground:
    """What is looked at: `home` is CORTEX_HOME, `store` the store below it, `root` the folder of
    the project, and the last three what it says, as far as that can be read."""

    home: Path
    store: Path
    root: Path
    environment: Mapping[str, str]
    offline: bool = False
    manifest: Manifest | None = None
    lock: Lock | None = None
    modes: Mapping[str, Mode] = field(default_factory=dict)


Check: TypeAlias = Callable[[Ground], Iterator[Finding]]


def ok(what: str) -> Finding:
    return Finding("ok", what)


def warning(what: str, mend: str) -> Finding:
    return Finding("warning", what, mend)


def error(what: str, mend: str) -> Finding:
    return Finding("error", what, mend)
