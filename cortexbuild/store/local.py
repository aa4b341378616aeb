"""The store on this machine: files by content, traces by step key.

Layout under the root (`~/.cortex/build/v1`):

    store.json                 the version of this layout
    cas/sha256/ab/abcd…        file contents, read-only, named by their sha256
    ac/v1/ab/abcd….json        traces, written after the files they name
    trees/abcd…/               a built artifact as a folder of hard links into cas
    corrupt/                   what was found to be wrong; never read again
    tmp/<run>/                 work in progress, held by a lock of its process
    partial/                   downloads, and files of steps, that were not finished
    roots/                     which projects use this store
    locks/  runs/  index.sqlite

Nothing has its final name before it is whole, so a process killed at any point leaves only
rubbish in tmp. Locks save work; none is needed for right results.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from ..core.digest import Digest, File, Tree
from ..core.step import INPUTS, Ingredients, StepKey, Trace, spec_digest
from ..errors import IntegrityError, StoreError
from . import disk, drafts
from .blobs import Blobs, files_in
from .hashing import sums_of
from .index import Index
from .traces import trace_from_text, trace_to_text

LAYOUT = 1


class LocalStore(Blobs):
    """Files, the folders that show them, and the records of what made them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            disk.make_folder(root)
            _check_layout(root)
            for name in ("cas/sha256", "ac/v1", "trees", "tmp", "locks", "runs", "roots"):
                disk.make_folder(root / name)
        except OSError as error:
            raise StoreError(
                f"{root} cannot be used: {error.strerror}",
                hint="set CORTEX_HOME to a folder you can write to",
            ) from error
        super().__init__(root, Index(root / "index.sqlite"))

    def close(self) -> None:
        self.index.close()

    # -- trees, as folders

    def tree_folder(self, tree: Tree) -> Path:
        return self.root / "trees" / tree.digest

    def is_placed(self, tree: Tree) -> bool:
        """Whether the folder of a tree is there, each file in it the very file in cas; or, where
        the file system has no links, or no more of them for that file, with its content."""
        folder = self.tree_folder(tree)
        try:
            return all(self._is(folder / file.path, file) for file in tree.files) and sum(
                1 for _ in files_in(folder)
            ) == len(tree.files)
        except OSError:
            return False

    def _is(self, path: Path, file: File) -> bool:
        stat, blob = path.stat(), self.blob(file.digest).stat()
        if stat.st_ino == blob.st_ino:
            return True
        copied = stat.st_nlink == 1 and stat.st_size == file.size
        return copied and sums_of(path).sha256 == file.digest

    def place(self, tree: Tree, scratch: Path) -> Path:
        """Make the folder of a tree, all at once; the bytes must be here."""
        folder = self.tree_folder(tree)
        if self.is_placed(tree):
            return folder
        draft = scratch / tree.digest
        disk.remove(draft)
        for file in tree.files:
            dest = draft / file.path
            disk.make_passing_folder(dest.parent)
            self.link_out(file, dest)
        if folder.exists():  # damaged, or of a layout that changed
            with suppress(FileNotFoundError):  # another process was first
                disk.rename(folder, scratch / f"{tree.digest}.old")
        for within, _, _ in os.walk(draft):
            disk.fsync_folder(Path(within))
        disk.rename_folder(draft, folder)  # or it was first with this
        disk.fsync_folder(folder.parent)  # before a view shows it
        if not self.is_placed(tree):
            raise StoreError(
                f"{folder} could not be made",
                hint="make room, and see that you may write there: `cortexbuild doctor`",
            )
        return folder

    # -- traces

    def trace(self, key: StepKey, ingredients: Ingredients) -> Trace | None:
        """What is recorded under a key; a record of other ingredients is no record of it."""
        found = self.read_trace(key)
        return found if found is not None and found.ingredients == ingredients else None

    def read_trace(self, key: StepKey) -> Trace | None:
        """Raises OSError for one that cannot be read now: it is neither damaged nor missing, and
        whoever went on without it would make its step again, or let its bytes go."""
        path = self.trace_path(key)
        try:
            return _trace_of(key, path)
        except FileNotFoundError:
            return None
        except (ValueError, IntegrityError, IsADirectoryError):
            self.quarantine(path, partial(_is_of, key))
            return None

    def keep_trace(self, trace: Trace, scratch: Path, *, replace: bool = False) -> Trace:
        """Record what a step made; its files are in. The first record wins, and is given back,
        unless a person asked to `replace` it.

        One whose bytes were lost gives way: nothing stands on it any more.
        """
        path = self.trace_path(trace.key)
        draft = scratch / f"{trace.key}.json"
        for _ in range(3):
            written = drafts.write_once(path, trace_to_text(trace), draft, replace=replace)
            first = trace if written else self.read_trace(trace.key)
            if first is not None and (written or self.has_tree(first.tree)):
                self._remember(first)
                return first
            disk.unlink(path)
        raise StoreError(
            f"{path} cannot be written",
            hint="make room, and see that you may write there: `cortexbuild doctor`",
        )

    def trace_path(self, key: StepKey) -> Path:
        return self.root / f"ac/v1/{key[:2]}/{key}.json"

    def known_specs(self, digests: Iterable[Digest]) -> set[Digest]:
        """Which kinds of work have ever been recorded here."""
        return self.index.known_specs(digests)

    def traces(self) -> Iterator[Trace]:
        for path in sorted((self.root / "ac" / "v1").glob("*/*.json")):
            found = self.read_trace(StepKey(path.stem))
            if found is not None:
                yield found

    def _remember(self, trace: Trace) -> None:
        spec = {k: value for k, value in trace.ingredients.items() if k not in INPUTS}
        self.index.keep_spec(spec_digest(spec))


def _trace_of(key: StepKey, path: Path) -> Trace:
    found = trace_from_text(path.read_text())
    if found.key != key:
        raise ValueError("a trace of another key")
    return found


def _is_of(key: StepKey, path: Path) -> bool:
    try:
        _trace_of(key, path)
        return True
    except (OSError, ValueError, IntegrityError):
        return False


def _check_layout(root: Path) -> None:
    path = root / "store.json"
    if not path.exists():
        tag = "Signature: 8a477f597d28d172789f06886806bc55\n"
        drafts.replace_text(root / "CACHEDIR.TAG", tag)
        drafts.replace_text(path, json.dumps({"layout": LAYOUT}) + "\n")
        return
    try:
        layout = json.loads(path.read_text())["layout"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} cannot be read",
            hint=f"remove it if no other version of cortexbuild uses {root}: it is written again",
        ) from error
    if layout != LAYOUT:
        raise StoreError(
            f"{root} has layout {layout}, this program knows {LAYOUT}",
            hint="use the version of cortexbuild that wrote it, or another CORTEX_HOME",
        )
