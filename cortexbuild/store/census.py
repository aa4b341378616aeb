"""What lies in the store, by looking at every file of it once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..core.digest import Digest
from ..core.eviction import Stored
from ..core.step import StepKey
from .blobs import files_in
from .local import LocalStore
from .scratch import left


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder in `trees/`: the files of the store that it shows; not `whole` if it has others."""

    files: frozenset[Digest]
    whole: bool


@dataclass(frozen=True, slots=True)
class Census:
    """The files by content, and the folders by the tree they show."""

    files: Mapping[Digest, Stored]
    folders: Mapping[Digest, Folder]


def census(store: LocalStore) -> Census:
    """Takes no lock: what comes and goes meanwhile is in it or not."""
    stats = dict(_stats(store))
    digests = {(stat.st_dev, stat.st_ino): digest for digest, stat in stats.items()}
    names = dict.fromkeys(stats, 1)  # how many each file has that are ours
    folders = {}
    for folder in sorted((store.root / "trees").iterdir()):
        found, strange = set(), 0
        for path in files_in(folder):
            with suppress(FileNotFoundError):
                stat = path.lstat()
                digest = digests.get((stat.st_dev, stat.st_ino))
                if digest is None:
                    strange += 1
                else:
                    names[digest] += 1
                    found.add(digest)
        folders[Digest(folder.name)] = Folder(frozenset(found), whole=bool(found) and not strange)
    uses = store.index.uses()
    files = {}
    for digest, stat in stats.items():
        # Without the index: what the file system knows, which is at least not too early.
        used = uses.get(digest, max(stat.st_atime, stat.st_ctime))
        elsewhere = stat.st_nlink > names[digest]
        files[digest] = Stored(stat.st_size, used, stat.st_ctime, elsewhere)
    return Census(files, folders)


def debris(store: LocalStore, before: float) -> Mapping[Path, int]:
    """What is of no use to anyone, with its bytes: work of processes that were killed, and, where
    nothing came to it since `before`, downloads broken off, files that were found wrong and seals,
    which hold for a day."""
    found = {folder: sum(map(_size, files_in(folder))) for folder in left(store.root)}
    for name in ("partial", "corrupt", "seals"):
        for path in sorted((store.root / name).glob("*")):
            with suppress(FileNotFoundError):
                stats = [one.stat() for one in (files_in(path) or [path])]
                if max(max(stat.st_mtime, stat.st_ctime) for stat in stats) < before:
                    found[path] = sum(stat.st_size for stat in stats)
    return found


def old_traces(store: LocalStore, before: float) -> Iterator[StepKey]:
    """The records written `before` a time."""
    for path in sorted((store.root / "ac" / "v1").glob("*/*.json")):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                yield StepKey(path.stem)


def _stats(store: LocalStore) -> Iterator[tuple[Digest, os.stat_result]]:
    for digest in store.blobs():
        with suppress(FileNotFoundError):
            yield digest, store.blob(digest).stat()


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
