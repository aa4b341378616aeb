"""Proof that a client and a worker have one store: a file that one writes and the other reads.

Paths prove nothing: two machines have a `/home/me/.cortex` each, and one folder may be mounted in
two places.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...store.locks import is_held, lock

FOLDER = "workers"


@contextmanager
def beacon(root: Path) -> Iterator[tuple[str, str]]:
    """A file in a store, for as long as a worker works there; gives its name and its content."""
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    for left in folder.glob("*[!w]"):  # by those that were killed; `.new` ones are not held yet
        with suppress(FileNotFoundError):
            if not is_held(left):
                left.unlink()
    name, content = uuid.uuid4().hex, secrets.token_hex(16)
    draft = folder / f"{name}.new"
    handle = os.open(draft, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(handle, content.encode())
        lock(handle, fcntl.LOCK_EX)
        draft.rename(folder / name)
        yield name, content
    finally:
        (folder / name).unlink(missing_ok=True)
        os.close(handle)


def shows(root: Path, name: str, content: str) -> bool:
    """Whether that file is in this store."""
    try:
        return (root / FOLDER / Path(name).name).read_text() == content
    except OSError:
        return False
