"""The folders of logs, one for each run of steps."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from pathlib import Path

from ..store import disk
from ..store.local import LocalStore
from ..store.scratch import sweep

KEPT_RUNS = 50


def new_run(store: LocalStore) -> Path:
    """A folder for the logs of this run; old ones go, and so does what killed runs left."""
    sweep(store.root)
    runs = sorted((store.root / "runs").iterdir())
    for old in runs[: max(0, len(runs) - KEPT_RUNS + 1)]:
        disk.remove(old)  # as other commands may do at the same time
    folder = store.root / "runs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    disk.make_passing_folder(folder)
    return folder


def end_run(store: LocalStore, run: Path) -> None:
    """Sweep what killed children left; a run in which nothing ran leaves no folder."""
    sweep(store.root)
    with suppress(OSError):  # it is not empty, or others had fifty runs meanwhile
        disk.remove_empty(run)
