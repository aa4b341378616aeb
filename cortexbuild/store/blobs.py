"""File contents in the store, named by their sha256, and the checks on every use of them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from io import FileIO
from pathlib import Path

from ..core.digest import Digest, File, Tree
from ..errors import IntegrityError
from . import disk
from .hashing import Sums, sums_of
from .index import Index
from .ingest import settled
from .looking import Look, read_again, stat_of
from .together import together

BUILD_AGAIN = "run `cortexbuild sync`: what is missing is made again"


class Blobs:
    """`cas/` under `root`. What is found wrong goes to `corrupt/` and out of all `trees/`."""

    def __init__(self, root: Path, index: Index) -> None:
        self.root, self.index = root, index
        self._whole: set[Digest] = set()  # found right by this process

    def blob(self, digest: Digest) -> Path:
        return self.root / f"cas/sha256/{digest[:2]}/{digest}"

    def look_anew(self) -> None:
        """Believe no more what this process saw before: others may have taken bytes away."""
        self._whole.clear()

    def has_tree(self, tree: Tree) -> bool:
        """Whether all bytes of a tree are here, by size and stat; a drifted file is read."""
        return self._wrong(f for f in tree.files if f.digest not in self._whole) is None

    def has_blob(self, file: File) -> bool:
        return file.digest in self._whole or self._wrong([file]) is None

    def check_blob(self, file: File) -> bool:
        """Like `has_blob`, but the bytes are always read."""
        return self._wrong([file], read=True) is None

    def check_blobs(self, files: Iterable[File], hint: str = BUILD_AGAIN) -> None:
        """Read all of them. Raises IntegrityError for the first that is not what its name says."""
        self._refuse(self._wrong(files, read=True), hint)

    def add_file(self, path: Path, sums: Sums) -> None:
        """Move a file of ours in. `sums` were taken while or after it was written."""
        dest = self.blob(sums.sha256)
        disk.make_folder(dest.parent)
        disk.make_read_only(path)
        if not self.has_blob(File("", sums.sha256, sums.size)):
            with FileIO(path) as file:
                disk.fsync(file)
            with suppress(FileExistsError):  # another was first
                disk.link(path, dest)
            disk.fsync_folder(dest.parent)
            disk.unlink(path)  # first: it changes the ctime of what we remember
            self.index.keep_blob(sums.sha256, stat_of(dest), sums.xxh3)
        else:
            self.index.note_use([sums.sha256])
        disk.unlink(path)
        self._whole.add(sums.sha256)

    def add_folder(self, folder: Path) -> Tree:
        """Move every file of a folder of ours in. A link in it is followed; what it shows is
        copied, unless it is a file of the store itself."""
        (tree,) = self.add_folders([folder])
        return tree

    def add_folders(self, folders: Sequence[Path]) -> Sequence[Tree]:
        """The same with several of them, whose files are read at once."""
        found: list[list[File]] = [[] for _ in folders]
        new: list[tuple[list[File], str, Path]] = []
        for folder, files in zip(folders, found, strict=True):
            for path in files_in(folder):
                name = path.relative_to(folder).as_posix()
                if (shown := self._shown(path, name)) is None:
                    new.append((files, name, path))
                else:
                    disk.unlink(path)
                    files.append(shown)
        with closing(together(settled, [path for _, _, path in new])) as settling:
            for (files, name, path), sums in zip(new, settling, strict=True):
                files.append(File(name, sums.sha256, sums.size))
                self.add_file(path, sums)
        return [Tree.of(files) for files in found]

    def stage(self, tree: Tree, folder: Path) -> None:
        """Show a step its input: links to files that nobody has touched since they were right, as
        far as a stat tells, or that were read and are right."""
        hint = "run the same command again: what is missing is made again"
        self._refuse(self._wrong(tree.files), hint)
        for file in tree.files:
            dest = folder / file.path
            disk.make_passing_folder(dest.parent)
            disk.symlink(self.blob(file.digest), dest)
        self.note_use(tree)

    def note_use(self, tree: Tree) -> None:
        """Remember that a tree is used, so that a garbage collection goes by it."""
        self.index.note_use(file.digest for file in tree.files)

    def set_aside(self, digest: Digest) -> None:
        """Take a file that was found wrong out of the store."""
        self.quarantine(self.blob(digest), lambda taken: sums_of(taken).sha256 == digest)
        self.forget(digest)

    def forget(self, digest: Digest) -> None:
        """Believe no more that a file is here."""
        self._whole.discard(digest)
        self.index.forget_blob(digest)

    def blobs(self) -> Iterator[Digest]:
        """The names of all files in the store."""
        for path in sorted((self.root / "cas" / "sha256").glob("*/*")):
            yield Digest(path.name)

    def _wrong(self, files: Iterable[File], *, read: bool = False) -> File | None:
        """The first of `files` that is not here, or not what its name says. What has another stat
        than when it was last right is read, several at once; with `read` all are."""
        doubtful = []
        for file in files:
            self._whole.discard(file.digest)
            look = self._look(file)
            if look is None:
                return file
            if read or not look.untouched:
                doubtful.append(look)
            else:
                self._whole.add(file.digest)
        with closing(together(read_again, doubtful)) as found:
            for look, (right, xxh3) in zip(doubtful, found, strict=True):
                if not right:
                    self.set_aside(look.file.digest)
                if not (right and look.has_size):  # a record may have told a wrong size
                    return look.file
                if look.row != (look.stat, xxh3):
                    self.index.correct_blob(look.file.digest, look.stat, xxh3)
                self._whole.add(look.file.digest)
        return None

    def _look(self, file: File) -> Look | None:
        path = self.blob(file.digest)
        with suppress(FileNotFoundError):
            return Look(file, path, stat_of(path), self.index.blob(file.digest))
        return None

    def _refuse(self, wrong: File | None, hint: str) -> None:
        if wrong is not None:
            raise IntegrityError(
                f"`{wrong.path}` ({wrong.digest[:12]}) is damaged or gone from the store",
                hint=hint,
            )

    def _shown(self, path: Path, name: str) -> File | None:
        """The file of the store that a link shows, as a file of this name."""
        if not path.is_symlink():
            return None
        shown = path.resolve()
        file = File(name, Digest(shown.name), shown.stat().st_size)
        ours = shown == self.blob(file.digest).resolve() and self.has_blob(file)
        return file if ours else None

    def link_out(self, file: File, dest: Path) -> None:
        """Give a file of the store another name; a copy where the file system has no links."""
        source = self.blob(file.digest)
        row, before = self.index.blob(file.digest), stat_of(source)
        if not disk.share(source, dest):
            disk.copy_durably(source, dest)
        elif row is not None and row.stat == before:  # a new link changes ctime, and we know why
            self.index.keep_blob(file.digest, stat_of(source), row.xxh3)

    @contextmanager
    def unlinking(self, digests: Iterable[Digest]) -> Iterator[None]:
        """While other names of files go, which changes their ctime, and we know why."""
        known = {digest: self.index.blob(digest) for digest in digests}
        right = {
            digest: row
            for digest, row in known.items()
            if row is not None and self.blob(digest).exists()
            and row.stat == stat_of(self.blob(digest))
        }  # fmt: skip
        yield
        for digest, row in right.items():
            self.index.correct_blob(digest, stat_of(self.blob(digest)), row.xxh3)

    def quarantine(self, path: Path, is_right: Callable[[Path], bool]) -> None:
        """Take a wrong file away from all its names, so that nothing reads it by any of them.

        Since it was read, another process may have put a right one in its place: that stays.
        """
        folder = self.root / "corrupt"
        taken = folder / f".{path.name}.{uuid.uuid4().hex[:8]}"
        with disk.unless_read_only(), suppress(FileNotFoundError):
            disk.make_folder(folder)
            disk.rename(path, taken)
            if is_right(taken):
                with suppress(FileExistsError):
                    disk.link(taken, path)
                disk.unlink(taken)
                return
            wrong = taken.stat().st_ino
            disk.rename(taken, folder / path.name)
            for placed in files_in(self.root / "trees"):
                with suppress(FileNotFoundError):
                    if placed.lstat().st_ino == wrong:
                        disk.unlink(placed)


def files_in(folder: Path) -> list[Path]:
    """The files and links below a folder, sorted. What goes meanwhile is among them or not."""
    found: list[Path] = []
    for within, folders, names in os.walk(folder):
        paths = (Path(within, name) for name in (*folders, *names))
        found += (path for path in paths if path.is_symlink() or path.is_file())
    return sorted(found)
