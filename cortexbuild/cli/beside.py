"""cortex.yaml and what lies beside it: cortex.lock, which is committed, and what is only kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..app.ran import LastRun, Ran
from ..core.lock import Lock
from ..core.lockfile import MOST, lock_from_text, lock_to_text
from ..core.manifest import Manifest
from ..core.step import Failure, StepId, StepKey
from ..errors import LockError
from ..store.drafts import replace_text
from .yaml.reading import parse_yaml, read_yaml

MANIFEST = "cortex.yaml"
LOCK = "cortex.lock"
KEPT, LAST, LOGS, RUN = ".cortex", "last.json", "logs.json", "run.json"
"""The folder of what is only kept, and what is in it."""


def read_manifest(path: Path) -> Manifest:
    """`path` is in its messages as it was given."""
    return Manifest.parse(read_yaml(path, str(path)))


def parse_manifest(content: bytes, path: Path) -> Manifest:
    """What stands at `path`, or is about to."""
    return Manifest.parse(parse_yaml(content, str(path)))


def read_lock(root: Path) -> Lock | None:
    try:
        return read_lock_file(root / LOCK, LOCK)
    except FileNotFoundError:
        return None


def read_lock_file(path: Path, name: str) -> Lock:
    """Raises LockError for what is no lock, and FileNotFoundError where there is nothing."""
    try:
        if path.stat().st_size > MOST or not path.is_file():
            raise LockError(
                f"{name} is not a lock of cortexbuild: {path.stat().st_size} bytes",
                hint="take it from git again, or remove it and run `cortexbuild lock`",
            )
        text = path.read_text()
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(
            f"{name} cannot be read: {error}",
            hint="see who owns it and who may read it; git has the last good one",
        ) from error
    return lock_from_text(text, name)


def write_lock(root: Path, lock: Lock) -> None:
    replace_text(root / LOCK, lock_to_text(lock))


def read_last(root: Path) -> Mapping[str, StepKey]:
    """Under which key each step was last made for this project. For `why`; may be lost."""
    return {label: StepKey(key) for label, key in _kept_words(root, LAST).items()}


def keep_last(root: Path, keys: Mapping[str, StepKey]) -> None:
    before = read_last(root)
    merged = {**before, **keys}
    if merged != before:
        _keep(root, LAST, merged)


def read_logs(root: Path) -> Mapping[str, str]:
    """Where the last log of each step of this project is, by its label; may be lost."""
    return _kept_words(root, LOGS)


def keep_logs(root: Path, logs: Mapping[str, str]) -> None:
    """Those of a run, beside those of earlier ones that are still there."""
    before = {label: path for label, path in read_logs(root).items() if Path(path).exists()}
    if logs:
        _keep(root, LOGS, {**before, **logs})


def read_run(root: Path) -> LastRun:
    """What the last syncs did with each step. For `report`; may be lost."""
    try:
        found = json.loads((root / KEPT / RUN).read_text())
        return LastRun(
            str(found["at"]), {StepId(id_): _ran(row) for id_, row in found["steps"].items()}
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return LastRun()


def keep_run(root: Path, run: LastRun) -> None:
    steps = {id_: asdict(ran) for id_, ran in run.steps.items()}
    _keep(root, RUN, {"at": run.at, "steps": steps})


def _ran(row: Mapping[str, Any]) -> Ran:
    failure = Failure(**row["failure"]) if row["failure"] else None
    return Ran(row["at"], row["change"], row["seconds"], failure)


def _kept_words(root: Path, name: str) -> Mapping[str, str]:
    try:
        found = json.loads((root / KEPT / name).read_text())
        return {str(label): str(word) for label, word in found.items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def _keep(root: Path, name: str, value: object) -> None:
    try:
        replace_text(root / KEPT / name, json.dumps(value, sort_keys=True))
        replace_text(root / KEPT / ".gitignore", "*\n")
    except OSError:
        return  # a checkout that cannot be written to: only `why` and `report` know less
