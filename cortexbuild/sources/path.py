"""Weights or texts already on this machine: `path:models/base`, relative to cortex.yaml."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..core.digest import File, Tree
from ..core.lock import Pinned
from ..core.ports import Delivery, Looks, Source
from ..errors import ToolError, UsageError
from ..formats.files import model_files


def pin(origin: str, root: Path, looks: Looks) -> Pinned:
    place = _place(origin, root)
    if not place.exists():
        raise UsageError(
            f"{place} does not exist", hint=f"`{origin}` is relative to the folder of cortex.yaml"
        )
    files = []
    for name, path in _named(place).items():
        digest, size = looks.sum_of(path)
        files.append(File(name, digest, size))
    if not files:
        raise UsageError(f"{place} has no file of a model", hint="is it the right folder?")
    tree = Tree.of(files)
    return Pinned(origin, tree, looks.facts_of(place, tree))


def fetch(pinned: Pinned, root: Path, delivery: Delivery) -> None:
    place = _place(pinned.origin, root)
    named = _named(place) if place.exists() else {}
    for file in pinned.tree.files:
        if file.path not in named:
            raise ToolError(
                f"{place} has no `{file.path}` (any more), and it is not in the store",
                hint="bring it back, or run `cortexbuild sync` without `--frozen` to lock what "
                "is there",
            )
        delivery.copy(file.path, named[file.path])


def has(pinned: Pinned, root: Path, looks: Looks) -> bool:
    """By content: weights that were trained further have the sizes that they had."""
    place = _place(pinned.origin, root)
    for file in pinned.tree.files:
        path = place if place.is_file() and place.name == file.path else place / file.path
        try:
            if path.stat().st_size != file.size or looks.sum_of(path) != (file.digest, file.size):
                return False
        except OSError:
            return False
    return True


def places(origin: str, root: Path) -> Iterator[Path]:
    place = _place(origin, root)
    yield place
    for folder, folders, files in os.walk(place):
        yield from (Path(folder, name) for name in (*folders, *files))


def _place(origin: str, root: Path) -> Path:
    return root / Path(origin.removeprefix("path:")).expanduser()


def _named(place: Path) -> dict[str, Path]:
    """The files that matter, by the path they have in the artifact."""
    if place.is_file():
        return {place.name: place}
    files = (Path(folder, name) for folder, _, names in os.walk(place) for name in names)
    found = {path.relative_to(place).as_posix(): path for path in files if path.is_file()}
    return {name: found[name] for name in model_files(found)}


SOURCE = Source("path", pin, fetch, local=True, has=has, places=places)
