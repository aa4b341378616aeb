"""Records of steps as they lie in a remote: `ac/<key>`, read no further than one can be long."""

from __future__ import annotations

from pathlib import Path

from ..core.remote import Remote
from ..core.step import StepKey, Trace
from ..store import disk
from ..store.traces import MOST, trace_to_text
from .transfer import read_short


def read_text(remote: Remote, key: StepKey) -> str | None:
    """The text under a key, whatever it is; None when there is nothing. What is longer than any
    record ends early, and so is damaged."""
    content = read_short(remote, "ac", key, MOST)
    return None if content is None else content.decode(errors="replace")


def write(remote: Remote, trace: Trace, scratch: Path, *, only_new: bool) -> bool:
    """Put a record into a remote; its contents must be there. Says whether it was written."""
    draft = scratch / f"{trace.key}.json"
    disk.write_text(draft, trace_to_text(trace))
    try:
        return remote.write("ac", trace.key, draft, lambda _: None, only_new=only_new)
    finally:
        disk.unlink(draft)
