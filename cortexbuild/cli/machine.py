"""What this machine has for steps to run with."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

from ..core.manifest import Resources
from ..core.needs import Capacity

CGROUPS = Path("/sys/fs/cgroup")
WARM = 4
"""Idle children that are kept beside those that run, where there is memory for them: one for each
engine that a usual build alternates between."""
CHILD = 2 << 30
"""Bytes of this machine's memory for each child that is kept. An idle one takes some 400 MiB."""


def memory() -> int:
    """Bytes: of this machine, or of the container where that has less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # macOS has both, too
    if sys.platform != "linux":
        return physical
    with suppress(OSError):
        return min([physical, *container_limits(Path("/proc/self/cgroup").read_text(), CGROUPS)])
    return physical


def container_limits(groups: str, root: Path) -> list[int]:
    """The limits of a process in these control groups (/proc/PID/cgroup), and in those above."""
    found = []
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            folder, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = folder / path.lstrip("/")
        for above in (group, *group.parents):
            with suppress(OSError, ValueError):  # none here, or `max`
                found.append(int((above / name).read_text()))
            if above == folder:
                break
    return found


def accelerators() -> int:
    """How many steps may compute on one at once: all take the first."""
    if sys.platform == "darwin":
        return int(platform.machine() == "arm64")
    return int(any(Path("/dev").glob("nvidia[0-9]*")))


def capacity(said: Resources, jobs: int | None = None) -> Capacity:
    """What steps may take together: what was said, and this machine's for the rest."""
    return Capacity(
        memory=memory() if said.memory is None else said.memory,
        jobs=jobs or said.jobs or os.cpu_count() or 1,
        gpu=accelerators() if said.gpu is None else said.gpu,
    )


def children(room: Capacity) -> int:
    """How many processes to keep, running and idle ones."""
    slots = room.jobs + room.net
    return max(room.jobs, min(slots + WARM, room.memory // CHILD))
