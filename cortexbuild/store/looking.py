"""Whether a file of the store is right: by its stat if that is as it was, else by reading it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ..core.digest import File
from .hashing import sums_of, xxh3_of
from .index import BlobRow


class Look(NamedTuple):
    """A file of the store as it is now, and what the index knows of it."""

    file: File
    path: Path
    stat: str
    row: BlobRow | None

    @property
    def has_size(self) -> bool:
        return self.stat.startswith(f"{self.file.size},")

    @property
    def untouched(self) -> bool:
        return self.row is not None and self.row.stat == self.stat and self.has_size


def read_again(look: Look) -> tuple[bool, str]:
    """Whether the content is what its name says, and its xxh3. That of the index only spares the
    slower sum: where it differs, the index may be what is wrong. A file that is gone meanwhile
    was found wrong by another process."""
    try:
        return _read_again(look)
    except FileNotFoundError:
        return False, ""


def _read_again(look: Look) -> tuple[bool, str]:
    if look.row is not None and look.has_size and xxh3_of(look.path) == look.row.xxh3:
        return True, look.row.xxh3
    sums = sums_of(look.path)
    return sums.sha256 == look.file.digest, sums.xxh3


def stat_of(path: Path) -> str:
    return text_of(path.stat())


def text_of(stat: os.stat_result) -> str:
    # With ctime, which no program can set: a byte flipped with its mtime put back is seen.
    return f"{stat.st_size},{stat.st_mtime_ns},{stat.st_ctime_ns},{stat.st_ino}"
