"""Files on this machine, as an artifact has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..core.digest import File
from ..core.ports import Looks


def files_of(named: Mapping[str, Path], looks: Looks) -> list[File]:
    """What is in files, by the paths that they have in the artifact; in their order."""
    sums = looks.sums_of(tuple(named.values()))
    return [File(path, *found) for path, found in zip(named, sums, strict=True)]
