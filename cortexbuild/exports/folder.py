"""A folder as the Hub has a model: its files, a card, where it comes from."""

from __future__ import annotations

from pathlib import Path

from ..store.local import LocalStore
from . import Given, How, Neighbour, Package
from .placing import give_folder


def neighbour(folder: Path) -> Neighbour:
    def give(store: LocalStore, package: Package, root: Path, name: str, how: How) -> Given:
        del root, name  # it has both already
        return Given(str(folder), folder, give_folder(store, package, folder, how))

    return Neighbour("folder", lambda: folder, lambda _: "", give)
