"""The converter out of a source distribution: downloaded, compared with its sha256, unpacked."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from ...errors import OWN_SOURCES, IntegrityError, ToolError
from .index import Archive, Index, open_index
from .parts import NEEDED, is_part

MOST_BYTES = 1 << 29
"""Of an archive; that of llama-cpp-python 0.3.36 has 77 MB, 216 MB unpacked."""

_MOST_UNPACKED, _MOST_MEMBERS = 1 << 32, 100_000
_MOST_PART, _MOST_PARTS = 8 << 20, 2000
_CHUNK = 1 << 20
_INSIDE = ("vendor", "llama.cpp")
"""Where llama.cpp is, below the one folder that every source distribution begins with."""


def download_toolchain(package: str, version: str, cache: Path, listed: str) -> Path:
    """Bring the converter that belongs to a version of llama-cpp-python into `cache`.

    The folder is called llama.cpp-VERSION-SHA, after the first digits of the archive's sha256,
    and appears whole. It has a file `listed` with the path, sha256 and size of each other file.
    Raises ToolError when the package index cannot be reached or does not have the version,
    IntegrityError when the archive is not what the index announces.
    """
    drafts = cache.parent / "tmp"  # the store's own, where the drafts of a dead process are swept
    for folder in (cache, drafts):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=drafts, prefix=f"{os.getpid()}-") as scratch:
        index = open_index()
        archive = index.find_archive(package, version)
        packed, unpacked = Path(scratch, "packed"), Path(scratch, "unpacked")
        _download(index, archive, packed)
        rows = _unpack(packed, unpacked)
        (unpacked / listed).write_text(json.dumps(rows, indent=0))
        final = cache / f"llama.cpp-{version}-{archive.sha256[:12]}"
        try:
            unpacked.rename(final)
        except OSError:
            if not final.is_dir():  # else another process was first, with the same bytes
                raise
        return final


def _download(index: Index, archive: Archive, path: Path) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with index.open(archive.url) as answer, path.open("wb") as file:
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > MOST_BYTES:
                    raise IntegrityError(
                        f"{archive.name} has more than {MOST_BYTES} bytes", hint=OWN_SOURCES
                    )
                digest.update(chunk)
                file.write(chunk)
    except (OSError, http.client.HTTPException) as error:
        raise ToolError(
            f"{archive.name} could not be downloaded: {error}", hint="sync again"
        ) from error
    if digest.hexdigest() != archive.sha256:
        raise IntegrityError(
            f"{archive.name} is not what the package index announces: its sha256 is "
            f"{digest.hexdigest()[:12]}, not {archive.sha256[:12]}",
            hint=OWN_SOURCES,
        )


def _unpack(packed: Path, folder: Path) -> list[tuple[str, str, int]]:
    """Write the converter's files, and no other, below `folder`; gives path, sha256 and size."""
    rows: list[tuple[str, str, int]] = []
    seen = 0
    try:
        with tarfile.open(packed, "r:gz") as archive:
            for count, member in enumerate(archive):
                seen += member.size
                if count >= _MOST_MEMBERS or seen > _MOST_UNPACKED:
                    raise IntegrityError("a source distribution of absurd size", hint=OWN_SOURCES)
                path = _place(member)
                if path is None:
                    continue
                if member.size > _MOST_PART or len(rows) >= _MOST_PARTS:
                    raise IntegrityError(
                        f"{path}: too large for a part of a converter", hint=OWN_SOURCES
                    )
                file = archive.extractfile(member)
                assert file is not None, "only regular files have a place"
                content = file.read()
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                rows.append((path, hashlib.sha256(content).hexdigest(), len(content)))
    except (tarfile.TarError, EOFError, ValueError, OverflowError, LookupError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise IntegrityError(
            f"the source distribution cannot be unpacked: {error}", hint=OWN_SOURCES
        ) from error
    missing = set(NEEDED) - {path for path, _, _ in rows}
    if missing:
        raise ToolError(f"the source distribution has no {min(missing)}", hint=OWN_SOURCES)
    return sorted(rows)


def _place(member: tarfile.TarInfo) -> str | None:
    """Where a member goes, within llama.cpp. Links and all that is not the converter's go nowhere,
    and since only names that match whole patterns do, none leads out of the folder."""
    parts = PurePosixPath(member.name).parts
    if not member.isreg() or parts[1:3] != _INSIDE or ".." in parts:
        return None
    path = PurePosixPath(*parts[3:]).as_posix()
    return path if is_part(path) else None
