"""Taking bytes out of the store. Killed at any point, it leaves a store that is right: a file is
there whole or not at all, and a record without its bytes is a record still.

Only for who holds the store lock alone, if only for now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from ..core.digest import Digest
from ..core.step import StepKey
from . import disk
from .local import LocalStore
from .scratch import scratch


def free_folders(store: LocalStore, folders: Mapping[Digest, Iterable[Digest]]) -> None:
    """Take folders of `trees/` away, and with them the names that would keep their bytes; each
    with the files of the store that it shows."""
    with scratch(store.root) as folder:
        for name, shown in folders.items():
            gone = folder / name
            with store.unlinking(shown), suppress(FileNotFoundError):
                disk.rename(store.root / "trees" / name, gone)  # at once, as far as anyone can see
                disk.remove(gone)


def free_files(store: LocalStore, digests: Iterable[Digest]) -> None:
    for digest in digests:
        store.forget(digest)
        disk.unlink(store.blob(digest))


def forget_traces(store: LocalStore, keys: Iterable[StepKey]) -> None:
    """Let go of records; what they say was made would have to be made again."""
    for key in keys:
        disk.unlink(store.trace_path(key))


def remove_debris(paths: Iterable[Path]) -> None:
    for path in paths:
        disk.remove(path)
