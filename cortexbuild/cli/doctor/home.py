"""The folder where everything is kept: may it be written to, and what its file system can do.

What matters is tried for real, in a folder of its own that is gone afterwards.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ...processes import ask
from ...store import disk
from .. import words
from .finding import Finding, Ground, error, ok, warning

FEW, HARDLY_ANY = 10 << 30, 1 << 30
"""Bytes that are free: fewer than what a common model takes, and than anything takes."""
NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afp",
    "webdav",
    "davfs",
    "sshfs",
    "ceph",
    "lustre",
    "gluster",
)
ELSEWHERE = "set CORTEX_HOME to a folder on another disk, such as `export CORTEX_HOME=/data/cortex`"


def nearest(path: Path) -> Path:
    """The path, or the first above it that is there."""
    return next(above for above in (path, *path.parents) if above.exists())


def may_write(ground: Ground) -> Iterator[Finding]:
    at = nearest(ground.home)
    try:
        with tempfile.TemporaryDirectory(dir=at, prefix=".cortex-doctor-") as folder:
            draft = Path(folder, "draft")
            draft.write_bytes(b"tried")
            draft.rename(Path(folder, "final"))
    except OSError as reason:
        yield error(
            f"{at} cannot be written to: {reason.strerror}", f"`chmod u+rwx {at}`, or " + ELSEWHERE
        )
        return
    mode = stat.S_IMODE(at.stat().st_mode)
    if at == ground.home and mode & 0o022 and not mode & stat.S_ISVTX:
        yield warning(f"others may write to {at}, and so change what is built", f"chmod go-w {at}")
    elif at == ground.home:
        yield ok(f"{at} can be written to")
    else:
        yield ok(f"{ground.home} is not there yet; the first `cortexbuild sync` makes it")


def room(ground: Ground) -> Iterator[Finding]:
    yield of_room(shutil.disk_usage(nearest(ground.home)).free, ground.home)


def of_room(free: int, home: Path) -> Finding:
    mend = "`cortexbuild cache gc --keep 20GB` lets go of what no project needs; or " + ELSEWHERE
    said = f"{words.size(free)} are free in {home}"
    if free < HARDLY_ANY:
        return error(said, mend)
    return warning(f"{said}, fewer than a common model takes", mend) if free < FEW else ok(said)


def abilities(ground: Ground) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(dir=nearest(ground.home), prefix=".cortex-doctor-") as folder:
        yield from tried(Path(folder))


def tried(
    folder: Path,
    link: Callable[[Path, Path], object] = os.link,
    clone: Callable[[Path, Path], bool] = disk.clone,
    flock: Callable[[int, int], object] = fcntl.flock,
) -> Iterator[Finding]:
    """What the file system of a folder can do, of that which the store makes use of."""
    source = folder / "source"
    source.write_bytes(b"tried")
    shares = clone(source, folder / "clone")
    try:
        link(source, folder / "link")
        links = True
    except OSError:
        links = False
    if not links and not shares:
        yield warning(
            "this file system has neither hard links nor reflinks: files of built targets are "
            "copied, and take their room twice", ELSEWHERE,
        )  # fmt: skip
    else:
        how = [name for name, can in (("hard links", links), ("reflinks", shares)) if can]
        yield ok(f"files are shared by {' and '.join(how)}")
    try:
        (folder / "symlink").symlink_to("source")
    except OSError as reason:
        yield error(f"no symbolic links: {reason.strerror}; targets are shown by them", ELSEWHERE)
    with source.open("rb") as file:
        try:
            flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield ok("locks work (flock)")
        except OSError as reason:
            yield warning(
                f"locks do not work here (flock: {reason.strerror}): two commands at once do the "
                "same work twice", ELSEWHERE,
            )  # fmt: skip
    if (folder / "SOURCE").exists():
        yield ok("names that differ only in case are one file here")


def same_file_system(ground: Ground) -> Iterator[Finding]:
    sources = [] if ground.manifest is None else ground.manifest.models.values()
    local = any(model.source.startswith("path:") for model in sources)
    if local and nearest(ground.root).stat().st_dev != nearest(ground.home).stat().st_dev:
        yield warning(
            f"{ground.root} and {ground.home} are on different disks: the weights of `path:` "
            "sources are copied, and take their room twice",
            f"set CORTEX_HOME to a folder on the disk of {ground.root}",
        )


def not_over_a_network(ground: Ground) -> Iterator[Finding]:
    if sys.platform == "darwin":
        _, said = ask(["/sbin/mount"])
        mounts = dict(darwin_mounts(said))
    else:
        mounts = dict(linux_mounts(Path("/proc/self/mounts").read_text()))
    yield from of_kind(ground.home, file_system(nearest(ground.home).resolve(), mounts))


def of_kind(place: Path, kind: str) -> Iterator[Finding]:
    if any(word in kind for word in NETWORK):
        yield warning(
            f"{place} is on a network file system ({kind}): its index and its locks may fail",
            "keep CORTEX_HOME on a local disk, and share results by `cache: {remotes: "
            "['file:///mnt/…']}` in cortex.yaml",
        )
    elif kind:
        yield ok(f"{place} is on a local file system ({kind})")


def file_system(path: Path, mounts: dict[str, str]) -> str:
    """The kind of file system that a path is on; the deepest mount counts."""
    return next((mounts[str(p)] for p in (path, *path.parents) if str(p) in mounts), "")


def linux_mounts(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        _, place, kind, *_ = line.split(" ")
        yield place.replace("\\040", " "), kind


def darwin_mounts(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        with suppress(ValueError):
            place, _, rest = line.partition(" on ")[2].rpartition(" (")
            yield place, rest.partition(",")[0].rstrip(")")
