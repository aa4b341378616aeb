"""Files of the store under names of others: whole or not there, whenever a process or the power
ends, and never over what is not ours."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import escape
from io import FileIO
from pathlib import Path

from ..core.digest import File
from ..errors import StoreError
from ..formats.files import notice_files
from ..store import disk, drafts
from ..store.blobs import files_in
from ..store.hashing import sums_of
from ..store.local import LocalStore
from . import How, Package

README, PROVENANCE = "README.md", "provenance.json"
DRAFT, OLD = ".cortexbuild", ".cortexbuild-old"
"""In the names of what is being made, and of what is on its way out."""


def give_file(store: LocalStore, file: File, dest: Path, how: How) -> str:
    """Say how it came: it is a clone where the file system has them, else a second name of the
    same bytes, else a copy. A file that is there and right stays."""
    if _is(store, file, dest):
        sweep(dest)
        return "there"
    with appearing(dest) as draft:
        return _copy(store, file, draft) if how.copies else _share(store, file, draft)


def give_text(text: bytes, dest: Path) -> None:
    with appearing(dest) as draft, disk.writing(draft) as file:
        disk.write(file, text)
        disk.fsync(file)


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Where to make a file or a folder, that is `path` when it is made, for good."""
    disk.make_folder(path.parent)
    draft = _draft_of(path)
    try:
        yield draft
        disk.rename(draft, path)
    finally:
        disk.remove(draft)
    disk.fsync_folder(path.parent)


def give_folder(store: LocalStore, package: Package, folder: Path, how: How) -> Mapping[str, int]:
    """A folder that is exactly the package, all at once. Raises StoreError when one is there that
    is another, unless an export made it and it may be replaced."""
    if folder.exists():
        if _shows(store, package, folder):
            sweep(folder)
            return {"there": sum(file.size for file in package.files.values())}
        _check_may_go(folder, how)
    disk.make_folder(folder.parent)
    draft, old = _draft_of(folder), folder.with_name(f".{folder.name}{OLD}.{os.getpid()}")
    try:
        disk.make_folder(draft)
        came = fill(store, package, draft, how)
        _swap(draft, folder, old)
    finally:
        disk.remove(draft)
    sweep(folder)
    disk.remove(old)
    return came


def _swap(draft: Path, folder: Path, old: Path) -> None:
    """Give a folder its name, for good; what had it is `old` then, or has it again when that
    fails."""
    if folder.exists():
        disk.rename(folder, old)
    try:
        disk.rename(draft, folder)
    except (OSError, KeyboardInterrupt):
        if old.exists():
            disk.rename(old, folder)
        raise
    disk.fsync_folder(folder.parent)


def _draft_of(path: Path) -> Path:
    """Where this process makes what will be `path`. What killed ones left of it goes."""
    sweep(path, DRAFT)
    draft = path.with_name(f".{path.name}{DRAFT}.{os.getpid()}")
    disk.remove(draft)
    return draft


def sweep(path: Path, *marks: str) -> None:
    """Remove what killed processes left of it, in a folder that is not ours: so only what nobody
    else would call so."""
    for mark in marks or (DRAFT, OLD):
        for left in path.parent.glob(f".{escape(path.name)}{mark}.*"):
            if drafts.is_left(left):
                disk.remove(left)


def fill(store: LocalStore, package: Package, folder: Path, how: How) -> Mapping[str, int]:
    came: Counter[str] = Counter()
    for path, file in package.files.items():
        came[give_file(store, file, folder / path, how)] += file.size
    for path, text in package.texts.items():
        give_text(text, folder / path)
    return came


def _share(store: LocalStore, file: File, draft: Path) -> str:
    if disk.clone(store.blob(file.digest), draft):
        with FileIO(draft) as clone:
            disk.fsync(clone)
        return "cloned"
    disk.unlink(draft)
    store.link_out(file, draft)
    return "linked" if draft.samefile(store.blob(file.digest)) else "copied"


def _copy(store: LocalStore, file: File, draft: Path) -> str:
    disk.copy_durably(store.blob(file.digest), draft, read_only=False)
    return "copied"


def _is(store: LocalStore, file: File, path: Path) -> bool:
    """Whether a file has this content already; what is not the store's own file is read."""
    with suppress(FileNotFoundError):
        if path.samefile(store.blob(file.digest)):
            return True
        return path.stat().st_size == file.size and sums_of(path).sha256 == file.digest
    return False


def _shows(store: LocalStore, package: Package, folder: Path) -> bool:
    """Whether all of a package is there; somebody's notes beside it do no harm."""
    try:
        texts = all((folder / path).read_bytes() == text for path, text in package.texts.items())
    except OSError:
        return False
    return texts and all(_is(store, file, folder / path) for path, file in package.files.items())


def _check_may_go(folder: Path, how: How) -> None:
    """An export's folder may be replaced when it is asked for, if nothing else is in it."""
    if not folder.is_dir():
        raise StoreError(f"{folder} is a file", hint="choose another name")
    if not any(folder.iterdir()):
        return
    if foreign := _foreign(folder):
        raise StoreError(
            f"{folder} holds {foreign}, which no export made, so it is left alone",
            hint="choose another name, or move it away",
        )
    if not how.replace:
        raise StoreError(
            f"{folder} holds another model, or an older build of this one",
            hint="`--replace` puts this one in its place",
        )


def _foreign(folder: Path) -> str:
    """A file that is not an export's, by what its provenance lists; empty when there is none."""
    try:
        found = json.loads((folder / PROVENANCE).read_text())
        ours = {str(subject["name"]) for subject in found["subject"]}
    except (OSError, ValueError, KeyError, TypeError):
        return f"no {PROVENANCE} of ours"
    names = [path.relative_to(folder).as_posix() for path in files_in(folder)]
    ours |= {README, PROVENANCE, *notice_files(names)}
    return next((f"`{name}`" for name in names if name not in ours), "")
