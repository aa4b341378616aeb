"""File contents in the store, named by their sha256, and the checks on every use of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..core.digest import Digest, File, Tree
from ..errors import IntegrityError
from . import disk
from .hashing import Sums, sums_of, xxh3_of
from .index import Index

BUILD_AGAIN = "run `cortexbuild sync`: what is missing is made again"


class Blobs:
    """`cas/` under `root`. What is found wrong goes to `corrupt/` and out of all `trees/`."""

    def __init__(self, root: Path, index: Index) -> None:
        self.root, self.index = root, index
        self._whole: set[Digest] = set()  # found right by this process

    def blob(self, digest: Digest) -> Path:
        return self.root / "cas" / "sha256" / digest[:2] / digest

    def look_anew(self) -> None:
        """Believe no more what this process saw before: others may have taken bytes away."""
        self._whole.clear()

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

    def check_blobs(self, files: Iterable[File], hint: str = BUILD_AGAIN) -> None:
        """Read all of them. Raises IntegrityError for the first that is not what its name says."""
        for file in files:
            if not self.check_blob(file):
                raise IntegrityError(
                    f"`{file.path}` ({file.digest[:12]}) is damaged or gone from the store",
                    hint=hint,
                )

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
        else:
            self.index.note_use([sums.sha256])
        path.unlink(missing_ok=True)
        self._whole.add(sums.sha256)

    def add_folder(self, folder: Path) -> Tree:
        """Move every file of a folder of ours in. A link in it is followed and copied."""
        files = []
        for path in files_in(folder):
            if path.is_symlink():
                _replace_by_copy(path)
            sums = sums_of(path)
            files.append(File(path.relative_to(folder).as_posix(), sums.sha256, sums.size))
            self.add_file(path, sums)
        return Tree.of(files)

    def stage(self, tree: Tree, folder: Path) -> None:
        """Show a step its input: links to files whose bytes were read and found right."""
        self.check_blobs(tree.files, "run the same command again: what is missing is made again")
        for file in tree.files:
            dest = folder / file.path
            dest.parent.mkdir(parents=True, exist_ok=True)
            dest.symlink_to(self.blob(file.digest))
        self.note_use(tree)

    def note_use(self, tree: Tree) -> None:
        """Remember that a tree is used, so that a garbage collection goes by it."""
        self.index.note_use(file.digest for file in tree.files)

    def set_aside(self, digest: Digest) -> None:
        """Take a file that was found wrong out of the store."""
        self._whole.discard(digest)
        self.quarantine(self.blob(digest))
        self.index.forget_blob(digest)

    def blobs(self) -> Iterator[Digest]:
        """The names of all files in the store."""
        for path in sorted((self.root / "cas" / "sha256").glob("*/*")):
            yield Digest(path.name)

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
            self.index.correct_blob(file.digest, seen, xxh3)
        return right

    def link_out(self, file: File, dest: Path) -> None:
        """Give a file of the store another name; a copy where the file system has no links."""
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

    @contextmanager
    def unlinking(self, digests: Iterable[Digest]) -> Iterator[None]:
        """While other names of files go, which changes their ctime, and we know why."""
        known = {digest: self.index.blob(digest) for digest in digests}
        right = {
            digest: row
            for digest, row in known.items()
            if row is not None and self.blob(digest).exists()
            and row.stat == _stat_of(self.blob(digest))
        }  # fmt: skip
        yield
        for digest, row in right.items():
            self.index.correct_blob(digest, _stat_of(self.blob(digest)), row.xxh3)

    def quarantine(self, path: Path) -> None:
        """Take a wrong file away from all its names, so that nothing reads it by any of them."""
        folder = self.root / "corrupt"
        folder.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            wrong = path.stat().st_ino
            path.rename(folder / path.name)
            for placed in files_in(self.root / "trees"):
                if placed.lstat().st_ino == wrong:
                    placed.unlink()


def files_in(folder: Path) -> list[Path]:
    """The files and links below a folder, sorted."""
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
