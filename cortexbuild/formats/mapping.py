"""Files as arrays: what is looked at is read, and counts as memory of the process until let go."""

from __future__ import annotations

import mmap
from pathlib import Path
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

_maps: WeakSet[mmap.mmap] = WeakSet()


def mapped(path: Path) -> NDArray[np.uint8]:
    """The bytes of a file that is not empty. A process may have only so many maps: one for each
    file, not for each tensor."""
    with path.open("rb") as file:
        found = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _maps.add(found)
    return np.frombuffer(found, np.uint8)


def let_go() -> None:
    """Of all mapped files, what was looked at: the system reads it again if it is wanted again,
    and has mostly kept it."""
    for found in list(_maps):
        found.madvise(mmap.MADV_DONTNEED)
