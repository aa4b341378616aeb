"""Where a child's output goes: to the log of the step that it runs, as one file for each step."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..store import disk


def log_to(path: Path) -> None:
    """All that this process prints, and the programs that it starts, goes there from now on."""
    flush()
    try:
        disk.make_passing_folder(path.parent)
        handle = disk.handle(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    except OSError:  # the step meets the same disk, and tells what is wrong with it
        handle = os.open(os.devnull, os.O_WRONLY)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def size_of(log: str) -> int:
    """Its bytes; none of one that is not there."""
    try:
        return Path(log).stat().st_size
    except OSError:
        return 0


def copy_since(start: int, log: str, others: Sequence[str]) -> None:
    """Append to others what was written to a log from its byte `start` on. Where that cannot be
    done they stay as they are, since no step fails for its log."""
    for other in others:
        with suppress(OSError), Path(log).open("rb") as reader:
            reader.seek(start)
            disk.make_passing_folder(Path(other).parent)
            with disk.writing(Path(other), "ab") as writer:
                while piece := reader.read(disk.PIECE):
                    disk.write(writer, piece)
