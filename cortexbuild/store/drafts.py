"""What is made under another name first: a text is there under its own when it is whole, or not.

A loss of power leaves the one before or the new one. What a process that was killed has left of
this is known by the number of the process in its name.
"""

from __future__ import annotations

import os
from pathlib import Path

from . import disk
from .waiting import pid_lives


def write_once(path: Path, text: str, draft: Path, *, replace: bool = False) -> bool:
    """Write `path` by way of `draft`, unless it is there already. Says whether it was written."""
    try:
        with disk.writing(draft) as file:
            disk.write(file, text.encode())
            disk.fsync(file)
        disk.make_read_only(draft)
        disk.make_folder(path.parent)
        if replace:
            disk.rename(draft, path)
        else:
            try:
                disk.link(draft, path)
            except FileExistsError:
                return False
    finally:
        disk.unlink(draft)
    disk.fsync_folder(path.parent)
    return True


def replace_text(path: Path, text: str) -> None:
    """Put a new whole text in the place of an old one; after a loss of power it is one of both."""
    replace(path, text.encode(errors="surrogateescape"))


def replace(path: Path, content: bytes) -> None:
    """The same for bytes. Who may read and write it stays as it was."""
    disk.make_folder(path.parent)
    draft = draft_of(path)
    try:
        with disk.writing(draft) as file:
            disk.write(file, content)
            disk.fsync(file)
        if path.exists():
            disk.set_mode(draft, path.stat().st_mode & 0o7777)
        disk.rename(draft, path)
    finally:
        disk.unlink(draft)


def draft_of(path: Path) -> Path:
    """Where this process makes what will have the name `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def sweep_drafts(folder: Path, name: str = "*") -> None:
    """Remove what processes that are gone would have called `name` in a folder."""
    for path in sorted(folder.glob(f".{name}.*")):
        if is_left(path) and not path.is_dir():
            disk.unlink(path)


def is_left(draft: Path) -> bool:
    """Whether the process is gone that made what has a name like `draft_of` gives."""
    pid = draft.name.rpartition(".")[2]
    return pid.isdigit() and not pid_lives(int(pid))
