"""Built targets where other programs look for models: Ollama, LM Studio, the Hub's cache, a folder.

Each module lists one NEIGHBOUR; `find_neighbour` knows them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..core.digest import File
from ..errors import UsageError
from ..store.local import LocalStore


@dataclass(frozen=True, slots=True)
class Package:
    """What is handed out of a built target: files of the store by path, and texts that were
    written for it. `source` reads what is told of a model beside its weights."""

    target: str
    format: str
    files: Mapping[str, File]
    texts: Mapping[str, bytes]
    source: Callable[[str], bytes | None] = lambda _: None


@dataclass(frozen=True, slots=True)
class How:
    """`copies` are real copies, whatever links there could be; what is in the way and different is
    only taken away to `replace` it."""

    copies: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """Where a target is now, by its name there. `bytes_` counts those of its files by how they
    came: `there` before, `cloned`, `linked` or `copied`."""

    name: str
    path: Path
    bytes_: Mapping[str, int]
    notes: tuple[str, ...] = ()
    use: str = ""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A program's folder of models. `name` makes the default name of a model and a target."""

    to: str
    root: Callable[[], Path]
    name: Callable[[str], str]
    give: Callable[[LocalStore, Package, Path, str, How], Given]


def find_neighbour(to: str) -> Neighbour:
    """A neighbour by its name; a word with a `/`, or `.`, is a folder."""
    from . import folder, hf_cache, lmstudio, ollama

    known = {one.to: one for one in (ollama.NEIGHBOUR, lmstudio.NEIGHBOUR, hf_cache.NEIGHBOUR)}
    if to in known:
        return known[to]
    if "/" in to or to.startswith((".", "~")):
        return folder.neighbour(Path(to).expanduser().absolute())
    raise UsageError(f"`--to {to}` is not known", hint=f"{', '.join(known)}, or a folder: `./{to}`")
