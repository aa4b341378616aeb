"""Content names: hashing bytes, plain values and file trees."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NewType, TypeAlias, Union

from ..errors import HOSTILE_NAMES, IntegrityError, shown

Digest = NewType("Digest", str)
"""64 lower-case hex digits, always a sha256."""

LONGEST_NAME = 255
"""Bytes of a name within a path: what ext4, APFS and NFS take."""

Plain: TypeAlias = Union[  # noqa: UP007  (a quoted name cannot be joined with `|` at run time)
    None, bool, int, str, Sequence["Plain"], Mapping[str, "Plain"]
]
"""What may be hashed. No floats: `plain_number` writes them as text, the same on every machine."""


_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_bytes(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())


def canonical(value: Plain) -> bytes:
    """The one byte string that stands for `value`; equal values give equal bytes."""
    _check(value)
    return _JSON.encode(value).encode()


def digest_value(tag: str, value: Plain) -> Digest:
    """Hash a value under a tag, so that two kinds of record can never share a digest."""
    return digest_bytes(canonical([tag, value]))


def plain_number(value: float) -> str:
    """The shortest decimal that reads back as `value`: `1.0e-5` and `0.00001` are one setting."""
    return repr(float(value))


_ENDS = frozenset((str, int, bool, type(None)))
"""Nearly all values are of these very types, and a plan has millions."""


def _check(value: Plain) -> None:
    # JSON would quietly turn the key 1 into "1", and two values into one digest.
    # Nearly all are a dict, which takes less than half as long to ask for as a Mapping.
    if isinstance(value, dict | Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"keys must be text, not {key!r}")
            if type(item) not in _ENDS:
                _check(item)
    elif isinstance(value, list | tuple | Sequence) and not isinstance(value, str | bytes):
        for item in value:
            if type(item) not in _ENDS:
                _check(item)
    elif value is not None and not isinstance(value, bool | int | str):
        raise TypeError(f"cannot be hashed: {value!r}")


@dataclass(frozen=True, slots=True, order=True)
class File:
    path: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Tree:
    """An artifact: named files and their contents. Nothing else about a build is kept.

    Paths are relative, use `/`, and stay apart on a file system that ignores case, or how letters
    with accents are spelled.
    """

    files: tuple[File, ...]

    def __post_init__(self) -> None:
        paths = [file.path for file in self.files]
        if paths != sorted(set(paths)):
            raise IntegrityError(
                "the paths of a tree must be sorted and unique", hint=HOSTILE_NAMES
            )
        for path in paths:
            _check_path(path)
        folded: dict[str, str] = {}
        for path in paths:
            if other := folded.get(_folded(path)):
                raise IntegrityError(
                    f"{shown(other)} and {shown(path)} differ only in case",
                    hint="rename one of them: not every file system keeps them apart",
                )
            folded[_folded(path)] = path
        for path in paths:
            for end in (place for place, letter in enumerate(path) if letter == "/"):
                if other := folded.get(_folded(path[:end])):
                    raise IntegrityError(
                        f"{shown(other)} cannot be a file: there is {shown(path)}",
                        hint=HOSTILE_NAMES,
                    )

    @classmethod
    def of(cls, files: Iterable[File]) -> Tree:
        return cls(tuple(sorted(files)))

    @property
    def digest(self) -> Digest:
        return digest_value("tree.v1", [[f.path, f.digest, f.size] for f in self.files])

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def project(self, reads: Sequence[str]) -> Mapping[str, Digest]:
        """The files a step reads, by the patterns it declares: path to digest."""
        return {
            file.path: file.digest
            for file in self.files
            if any(fnmatchcase(file.path, pattern) for pattern in reads)
        }

    def select(self, reads: Sequence[str]) -> Tree:
        """The part of the tree that `project` names: all that a step may see of it."""
        names = self.project(reads)
        return Tree(tuple(file for file in self.files if file.path in names))

    def find(self, path: str) -> File | None:
        return next((file for file in self.files if file.path == path), None)


def _folded(path: str) -> str:
    return path if path.isascii() and path.islower() else _spelled(path)


def _spelled(path: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", path.casefold())


def _check_path(path: str) -> None:
    parts = path.split("/")
    bad = not path or path.startswith("/") or "\\" in path or "\0" in path or ":" in parts[0]
    if bad or any(part in ("", ".", "..") for part in parts):
        raise IntegrityError(f"a path may not leave its tree: {shown(path)}", hint=HOSTILE_NAMES)
    if not path.isprintable() or any(len(part.encode()) > LONGEST_NAME for part in parts):
        raise IntegrityError(
            f"a path that cannot be shown or kept: {shown(path)}", hint=HOSTILE_NAMES
        )
