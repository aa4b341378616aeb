"""Weights or texts already on this machine: `path:models/base`, relative to cortex.yaml."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..core.digest import Tree
from ..core.lock import Pinned
from ..core.ports import Delivery, Looks, Source
from ..errors import ToolError, UsageError
from ..formats.code import code_files
from ..formats.files import model_files
from ..formats.listing import local_files
from ._seen import files_of


def pin(origin: str, root: Path, looks: Looks) -> Pinned:
    place = _place(origin, root)
    if not place.exists():
        raise UsageError(
            f"{place} does not exist", hint=f"`{origin}` is relative to the folder of cortex.yaml"
        )
    found = _found(place)
    tree = Tree.of(files_of({name: found[name] for name in model_files(found)}, looks))
    if not tree.files:
        raise UsageError(f"{place} has no file of a model", hint="is it the right folder?")
    code = Tree.of(files_of({name: found[name] for name in _code(place, found)}, looks))
    return Pinned(origin, tree, looks.facts_of(place, tree), code=code)


def fetch(pinned: Pinned, root: Path, delivery: Delivery) -> None:
    place = _place(pinned.origin, root)
    named = _found(place) if place.exists() else {}
    for file in pinned.tree.files:
        if file.path not in named:
            raise ToolError(
                f"{place} has no `{file.path}` (any more), and it is not in the store",
                hint="bring it back, or run `cortexbuild sync` without `--frozen` to lock what "
                "is there",
            )
    delivery.copy({file.path: named[file.path] for file in pinned.tree.files})


def has(pinned: Pinned, root: Path, looks: Looks) -> bool:
    """By content: weights that were trained further have the sizes that they had."""
    place = _place(pinned.origin, root)
    alone, files = place.is_file(), pinned.tree.files
    named = {
        file.path: place if alone and place.name == file.path else place / file.path
        for file in files
    }
    try:
        if any(named[file.path].stat().st_size != file.size for file in files):
            return False
        return files_of(named, looks) == [*files]
    except OSError:
        return False


def places(origin: str, root: Path) -> Iterator[Path]:
    place = _place(origin, root)
    yield place
    for folder, folders, files in os.walk(place):
        yield from (Path(folder, name) for name in (*folders, *files))


def _place(origin: str, root: Path) -> Path:
    return root / Path(origin.removeprefix("path:")).expanduser()


def _found(place: Path) -> dict[str, Path]:
    """All files, by the path they would have in the artifact."""
    if place.is_file():
        return {place.name: place}
    files = (Path(folder, name) for folder, _, names in os.walk(place) for name in names)
    return {path.relative_to(place).as_posix(): path for path in files if path.is_file()}


def _code(place: Path, found: Mapping[str, Path]) -> Sequence[str]:
    """What the model asks to be run; most have no Python, and are not looked at for it."""
    is_model = place.is_dir() and any(name.endswith(".py") for name in found)
    return code_files(local_files(place)) if is_model else ()


SOURCE = Source("path", pin, fetch, local=True, has=has, places=places)
