"""The files of ours beside cortex.yaml: cortex.lock, which is committed, and what is only kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..core.lock import Lock
from ..core.lockfile import lock_from_text, lock_to_text
from ..core.step import StepKey
from ..errors import LockError
from ..store.disk import replace_text

LOCK = "cortex.lock"


def read_lock(root: Path) -> Lock | None:
    try:
        text = (root / LOCK).read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(f"{LOCK} cannot be read: {error}") from error
    return lock_from_text(text, LOCK)


def write_lock(root: Path, lock: Lock) -> None:
    replace_text(root / LOCK, lock_to_text(lock))


def read_last(root: Path) -> Mapping[str, StepKey]:
    """Under which key each step was last made for this project. For `why`; may be lost."""
    try:
        found = json.loads((root / ".cortex" / "last.json").read_text())
        return {str(label): StepKey(str(key)) for label, key in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def keep_last(root: Path, keys: Mapping[str, StepKey]) -> None:
    merged = {**read_last(root), **keys}
    if merged == read_last(root):
        return
    try:
        replace_text(root / ".cortex" / "last.json", json.dumps(merged, indent=1, sort_keys=True))
        replace_text(root / ".cortex" / ".gitignore", "*\n")
    except OSError:
        return  # a checkout that cannot be written to: only `why` knows less
