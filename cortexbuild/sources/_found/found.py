"""What every program's models have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...formats.files import shard_of


@dataclass(frozen=True, slots=True)
class Found:
    """A model that lies at `place`. `where` is whose it is, and `name` what it is called there;
    `source` is what a manifest would say, and `notes` what a person should know."""

    where: str
    name: str
    place: Path
    source: str
    notes: tuple[str, ...] = ()


def single_files(names: Iterable[str]) -> list[str]:
    """GGUF files that are a model each: of shards only the first, and no eyes of another."""
    return [name for name in sorted(names) if _is_one(name, name.rpartition("/")[2].lower())]


def _is_one(name: str, file: str) -> bool:
    shard = shard_of(name)
    first = shard is None or shard.number == 1
    return first and file.endswith(".gguf") and not file.startswith("mmproj")


def files_below(folder: Path) -> list[str]:
    """Their paths, relative; a link that leads nowhere is none."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)
