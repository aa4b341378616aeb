"""Where people and programs find what was built: links under CORTEX_HOME that we own.

A view is a symbolic link into `build/v1/trees`. One rename swaps it, so a program that opens it
sees the old artifact or the new one, whole. Whatever else has such a name is not ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.digest import Digest, Tree
from ..errors import StoreError
from . import disk, drafts
from .local import LocalStore
from .scratch import scratch


class HomeViews:
    """Views of the results in `store`, in the folders that `folders` names for each format."""

    def __init__(self, home: Path, store: LocalStore, folders: Callable[[str], str]) -> None:
        self._home, self._store, self._folders = home, store, folders

    def path(self, target: str, format_: str) -> Path:
        suffix = ".gguf" if format_ == "gguf" else ""
        return self._home / self._folders(format_) / (target.replace(":", "--") + suffix)

    def shows(self, target: str, format_: str) -> Digest | None:
        """The digest of the tree that a view of ours shows."""
        return self._shown(self.path(target, format_))

    def _is_ours(self, path: Path) -> bool:
        return self._shown(path) is not None

    def _shown(self, path: Path) -> Digest | None:
        trees = self._store.root / "trees"
        try:
            shown = Path(os.path.normpath(path.parent / path.readlink()))
        except OSError:
            return None
        if not shown.is_relative_to(trees) or shown == trees:
            return None
        return Digest(shown.relative_to(trees).parts[0])

    def all(self) -> Mapping[str, Digest]:
        """Every view of ours, by its path under CORTEX_HOME, and the tree it shows."""
        found = {}
        for path in sorted(self._home.glob("*/*")):
            shown = self._shown(path)
            if shown is not None:
                found[path.relative_to(self._home).as_posix()] = shown
        return found

    def is_whole(self, target: str, format_: str, tree: Tree) -> bool:
        """Whether the view shows this tree, and every file of it is there."""
        return self.shows(target, format_) == tree.digest and self._store.is_placed(tree)

    def has_note(self, target: str, format_: str) -> bool:
        """Whether something is written beside the view about where it comes from."""
        return beside(self.path(target, format_)).exists()

    def note(self, target: str, format_: str, text: str) -> None:
        drafts.replace_text(beside(self.path(target, format_)), text)

    def remove(self, view: str) -> bool:
        """Take a view away by its path under CORTEX_HOME, if there is one and it is ours."""
        path = self._home / view
        if not path.is_symlink() or not self._is_ours(path):
            return False
        disk.unlink(path)
        disk.unlink(beside(path))
        disk.fsync_folder(path.parent)  # before its project forgets it, and its bytes may go
        return True

    def sweep(self) -> None:
        """Remove what killed processes left beside the views."""
        for folder in sorted(self._home.glob("*_models")):
            drafts.sweep_drafts(folder, "*.provenance.json")
            for path in sorted(folder.glob(".*.*")):
                if drafts.is_left(path) and self._is_ours(path):  # one that never got its name
                    disk.unlink(path)

    def check_ours(self, target: str, format_: str) -> None:
        """Raises StoreError where the name is taken by something that we did not make."""
        path = self.path(target, format_)
        if os.path.lexists(path) and self.shows(target, format_) is None:
            raise StoreError(
                f"{path} exists and was not made by cortexbuild, so it is left alone",
                hint="move it away, or give the target another name in cortex.yaml",
            )

    def show(self, target: str, format_: str, tree: Tree) -> None:
        """Make the view show a tree whose bytes are here."""
        self.check_ours(target, format_)
        with scratch(self._store.root) as folder:
            shown = self._store.place(tree, folder)
        if format_ == "gguf":
            shown = shown / tree.files[0].path
        path = self.path(target, format_)
        disk.make_folder(path.parent)
        draft = drafts.draft_of(path)
        disk.unlink(draft)
        try:
            disk.symlink(os.path.relpath(shown, path.parent), draft)
            disk.rename(draft, path)
        finally:
            disk.unlink(draft)
        disk.fsync_folder(path.parent)  # before the bytes may go that it showed


def beside(view: Path) -> Path:
    """Where it is written from what a view comes."""
    return view.with_name(f"{view.name}.provenance.json")
