"""The store on this machine: files by content, traces by step key.

Layout under the root (`~/.cortex/build/v1`):

    store.json                 the version of this layout
    cas/sha256/ab/abcd…        file contents, read-only, named by their sha256
    ac/v1/ab/abcd….json        traces, written after the files they name
    trees/abcd…/               a built artifact as a folder of hard links into cas
    corrupt/                   what was found to be wrong; never read again
    tmp/<run>/                 work in progress, held by a lock of its process
    locks/  runs/  index.sqlite

Nothing has its final name before it is whole, so a process killed at any point leaves only
rubbish in tmp. Locks save work; none is needed for right results.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ..core.digest import Digest, File, Tree
from ..core.step import Ingredients, StepKey, Trace, key_of, spec_digest
from ..errors import IntegrityError, StoreError
from . import disk
from .hashing import Sums, sums_of, xxh3_of
from .index import Index
from .traces import trace_from_text, trace_to_text

LAYOUT = 1


class LocalStore:
    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for name in ("cas/sha256", "ac/v1", "trees", "tmp", "locks", "runs"):
                (root / name).mkdir(parents=True, exist_ok=True)
            _check_layout(root)
        except OSError as error:
            raise StoreError(
                f"{root} cannot be used: {error.strerror}",
                hint="set CORTEX_HOME to a folder you can write to",
            ) from error
        self.index = Index(root / "index.sqlite")
        self._whole: set[Digest] = set()  # found right by this process

    def close(self) -> None:
        self.index.close()

    # -- files

    def blob(self, digest: Digest) -> Path:
        return self.root / "cas" / "sha256" / digest[:2] / digest

    def has_tree(self, tree: Tree) -> bool:
        """Whether all bytes of a tree are here, by size and stat; a drifted file is read."""
        return all(self.has_blob(file) for file in tree.files)

    def has_blob(self, file: File) -> bool:
        if file.digest not in self._whole and self._check_blob(file, read=False):
            self._whole.add(file.digest)
        return file.digest in self._whole

    def check_blob(self, file: File) -> bool:
        """Like `has_blob`, but the bytes are always read."""
        self._whole.discard(file.digest)
        if self._check_blob(file, read=True):
            self._whole.add(file.digest)
        return file.digest in self._whole

    def add_file(self, path: Path, sums: Sums) -> None:
        """Move a file of ours in. `sums` were taken while or after it was written."""
        dest = self.blob(sums.sha256)
        dest.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(0o444)
        if not self.has_blob(File("", sums.sha256, sums.size)):
            with path.open("rb") as file:
                disk.fsync(file)
            with suppress(FileExistsError):
                disk.link(path, dest)
                disk.fsync_folder(dest.parent)
            path.unlink(missing_ok=True)  # first: it changes the ctime of what we remember
            self.index.keep_blob(sums.sha256, _stat_of(dest), sums.xxh3)
        path.unlink(missing_ok=True)
        self._whole.add(sums.sha256)

    def add_folder(self, folder: Path) -> Tree:
        """Move every file of a folder of ours in. A link in it is followed and copied."""
        files = []
        for path in _files_in(folder):
            if path.is_symlink():
                _replace_by_copy(path)
            sums = sums_of(path)
            files.append(File(path.relative_to(folder).as_posix(), sums.sha256, sums.size))
            self.add_file(path, sums)
        return Tree.of(files)

    def stage(self, tree: Tree, folder: Path) -> None:
        """Show a step its input: links to files whose bytes were read and found right."""
        for file in tree.files:
            if not self.check_blob(file):
                raise IntegrityError(
                    f"`{file.path}` ({file.digest[:12]}) is damaged or gone from the store",
                    hint="run the same command again: what is missing is made again",
                )
            dest = folder / file.path
            dest.parent.mkdir(parents=True, exist_ok=True)
            dest.symlink_to(self.blob(file.digest))

    def set_aside(self, digest: Digest) -> None:
        """Take a file that was found wrong out of the store."""
        self._whole.discard(digest)
        self._quarantine(self.blob(digest))
        self.index.forget_blob(digest)

    def blobs(self) -> Iterator[Digest]:
        """The names of all files in the store."""
        for path in sorted((self.root / "cas" / "sha256").glob("*/*")):
            yield Digest(path.name)

    # -- trees, as folders

    def tree_folder(self, tree: Tree) -> Path:
        return self.root / "trees" / tree.digest

    def is_placed(self, tree: Tree) -> bool:
        """Whether the folder of a tree is there, each file in it the very file in cas."""
        folder = self.tree_folder(tree)
        try:
            return all(
                (folder / file.path).stat().st_ino == self.blob(file.digest).stat().st_ino
                for file in tree.files
            ) and sum(1 for _ in _files_in(folder)) == len(tree.files)
        except OSError:
            return False

    def place(self, tree: Tree, scratch: Path) -> Path:
        """Make the folder of a tree, all at once; the bytes must be here."""
        folder = self.tree_folder(tree)
        if self.is_placed(tree):
            return folder
        draft = scratch / tree.digest
        disk.remove(draft)
        for file in tree.files:
            dest = draft / file.path
            dest.parent.mkdir(parents=True, exist_ok=True)
            self._link_out(file, dest)
        if folder.exists():  # damaged, or of a layout that changed
            folder.rename(scratch / f"{tree.digest}.old")
        with suppress(OSError):  # another process was first
            draft.rename(folder)
        if not self.is_placed(tree):
            raise StoreError(f"{folder} could not be made")
        return folder

    # -- traces

    def trace(self, key: StepKey, ingredients: Ingredients) -> Trace | None:
        """What is recorded under a key; a record of other ingredients is no record of it."""
        found = self.read_trace(key)
        return found if found is not None and found.ingredients == ingredients else None

    def read_trace(self, key: StepKey) -> Trace | None:
        try:
            text = self.trace_path(key).read_text()
            found = trace_from_text(text)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, IntegrityError):
            self._quarantine(self.trace_path(key))
            return None
        if found.key != key or key_of(found.ingredients) != key:
            self._quarantine(self.trace_path(key))
            return None
        return found

    def keep_trace(self, trace: Trace, scratch: Path) -> Trace:
        """Record what a step made; its files are in. The first record wins, and is given back.

        One whose bytes were lost gives way: nothing stands on it any more.
        """
        path = self.trace_path(trace.key)
        draft = scratch / f"{trace.key}.json"
        for _ in range(3):
            written = disk.write_once(path, trace_to_text(trace), draft)
            first = trace if written else self.read_trace(trace.key)
            if first is not None and (written or self.has_tree(first.tree)):
                self._remember(first)
                return first
            path.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written")

    def trace_path(self, key: StepKey) -> Path:
        return self.root / "ac" / "v1" / key[:2] / f"{key}.json"

    def known_specs(self, digests: Iterable[Digest]) -> set[Digest]:
        """Which kinds of work have ever been recorded here."""
        return self.index.known_specs(digests)

    def traces(self) -> Iterator[Trace]:
        for path in sorted((self.root / "ac" / "v1").glob("*/*.json")):
            found = self.read_trace(StepKey(path.stem))
            if found is not None:
                yield found

    # -- inner parts

    def _remember(self, trace: Trace) -> None:
        spec = {k: trace.ingredients[k] for k in ("schema", "kind", "tool", "format", "params")}
        self.index.keep_spec(spec_digest(spec))

    def _check_blob(self, file: File, *, read: bool) -> bool:
        path = self.blob(file.digest)
        try:
            stat = path.stat()
        except FileNotFoundError:
            return False
        row = self.index.blob(file.digest)
        seen = _stat_text(stat)
        if row is not None and row.stat == seen and stat.st_size == file.size and not read:
            return True
        if row is not None and stat.st_size == file.size:
            right, xxh3 = xxh3_of(path) == row.xxh3, row.xxh3
        else:
            sums = sums_of(path)
            right, xxh3 = sums.sha256 == file.digest and sums.size == file.size, sums.xxh3
        if not right:
            self.set_aside(file.digest)
        elif row is None or row.stat != seen:
            self.index.keep_blob(file.digest, seen, xxh3)
        return right

    def _link_out(self, file: File, dest: Path) -> None:
        source = self.blob(file.digest)
        row, before = self.index.blob(file.digest), _stat_of(source)
        try:
            os.link(source, dest)
        except OSError:
            shutil.copyfile(source, dest)
            dest.chmod(0o444)
            return
        if row is not None and row.stat == before:  # a new link changes ctime, and we know why
            self.index.keep_blob(file.digest, _stat_of(source), row.xxh3)

    def _quarantine(self, path: Path) -> None:
        """Take a wrong file away from all its names, so that nothing reads it by any of them."""
        folder = self.root / "corrupt"
        folder.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            wrong = path.stat().st_ino
            path.rename(folder / path.name)
            for placed in _files_in(self.root / "trees"):
                if placed.lstat().st_ino == wrong:
                    placed.unlink()


def _check_layout(root: Path) -> None:
    path = root / "store.json"
    if not path.exists():
        disk.replace_text(path, json.dumps({"layout": LAYOUT}) + "\n")
        tag = root / "CACHEDIR.TAG"
        tag.write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
        return
    try:
        layout = json.loads(path.read_text())["layout"]
    except (ValueError, KeyError, TypeError):
        layout = "unreadable"
    if layout != LAYOUT:
        raise StoreError(
            f"{root} has layout {layout}, this program knows {LAYOUT}",
            hint="use the version of cortexbuild that wrote it, or another CORTEX_HOME",
        )


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())


def _replace_by_copy(path: Path) -> None:
    draft = path.with_name(f"{path.name}.copy")
    shutil.copyfile(path, draft)
    path.unlink()
    draft.rename(path)


def _stat_of(path: Path) -> str:
    return _stat_text(path.stat())


def _stat_text(stat: os.stat_result) -> str:
    # With ctime, which no program can set: a byte flipped with its mtime put back is seen.
    return f"{stat.st_size},{stat.st_mtime_ns},{stat.st_ctime_ns},{stat.st_ino}"
