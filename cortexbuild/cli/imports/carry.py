"""What is carried over from a file of another program, and what is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...core.document import Text
from ...core.naming import name_of
from ...sources._found import Found
from ..adding import path_from


@dataclass(frozen=True, slots=True)
class Entry:
    """A model for cortex.yaml. Without a `recipe`, it gets what suits it and this machine."""

    name: str
    source: str
    notes: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    recipe: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """What is not carried over, where it stands, and why."""

    place: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Carried:
    entries: tuple[Entry, ...] = ()
    left: tuple[Left, ...] = ()
    policy: Mapping[str, object] = field(default_factory=dict)


def left_beside(
    text: Text, known: Collection[str], why: Mapping[str, str],
    otherwise: str = "cortex.yaml has nothing like it",
) -> list[Left]:  # fmt: skip
    """The keys of a file that are not `known`, each with why it is left."""
    return [
        Left(text.place((key,)), key, why.get(key, otherwise))
        for key in text.data
        if key not in known
    ]


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a file is read: its `name` in messages, its own `folder`, the `root` of cortex.yaml,
    and how to `find` what Ollama calls so."""

    name: str
    folder: Path
    root: Path
    find: Callable[[str], Found | None]

    def path(self, said: str) -> Path:
        return self.folder / Path(said).expanduser()

    def origin(self, said: str) -> str:
        """A path of the file, as cortex.yaml says it."""
        return f"path:{path_from(self.path(said), self.root)}"


_HUB = re.compile(r"(?:https://)?(?:hf\.co|huggingface\.co)/([\w.-]+/[\w.-]+)(?::(.+))?")


def of_hub(said: str, place: str) -> tuple[Entry, tuple[Left, ...]] | None:
    """`hf.co/org/name:Q4_K_M`, as Ollama, Docker and llama.cpp write it."""
    found = _HUB.fullmatch(said)
    if found is None:
        return None
    origin, tag = f"hf:{found[1]}", found[2]
    why = f"which file of the repository that is, is not said: write `{origin}/FILE.gguf`"
    left = (Left(place, f"`:{tag}`", why),) if tag and tag != "latest" else ()
    return Entry(name_of(origin), origin), left
