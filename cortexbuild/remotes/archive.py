"""Tar files that are written plainly and read with suspicion; compressed by zstd or not."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, cast

from ..errors import EXPORT_AGAIN, IntegrityError, ToolError
from ..store.hashing import CHUNK

DAMAGED = (tarfile.TarError, EOFError, ValueError, OverflowError, LookupError)
"""What tarfile raises for bytes that are no tar: the last three for the numbers and names of
extended headers."""

HEX = set("0123456789abcdef")
ZSTD = b"\x28\xb5\x2f\xfd"
"""How a zstd frame begins (RFC 8878)."""


def name_of(member: tarfile.TarInfo) -> tuple[str, str]:
    """The area and the name of a member. Raises IntegrityError for what no export writes."""
    area, _, name = member.name.partition("/")
    plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
    if not plain or area not in ("ac", "cas") or len(name) != 64 or set(name) - HEX:
        raise IntegrityError(f"a bundle has no `{member.name[:100]!r}`", hint=EXPORT_AGAIN)
    return area, name


def member_of(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o444
    return member


class _Guarded(io.RawIOBase):
    """A file of which nobody takes much at once: a header may claim to be gigabytes long."""

    def __init__(self, file: BinaryIO, damage: type[Exception]) -> None:
        self._file, self._damage = file, damage

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= 2 * CHUNK:
            raise tarfile.ReadError(f"a header of {size} bytes")
        try:
            return self._file.read(size)
        except self._damage as error:
            raise tarfile.ReadError(str(error)) from error

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


@contextmanager
def writing(path: Path, *, compressed: bool) -> Iterator[tarfile.TarFile]:
    """A tar that is written from its beginning to its end."""
    with path.open("wb") as file:
        if not compressed:
            with tarfile.open(fileobj=file, mode="w|") as tar:
                yield tar
            return
        with (
            _zstandard().ZstdCompressor(threads=-1).stream_writer(file) as writer,
            tarfile.open(fileobj=writer, mode="w|") as tar,
        ):
            yield tar


@contextmanager
def reading(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar that is read from its beginning to its end. Raises one of DAMAGED for what is none, now
    or while it is read."""
    with path.open("rb") as file:
        compressed = file.read(len(ZSTD)) == ZSTD
        file.seek(0)
        if not compressed:
            with tarfile.open(fileobj=_Guarded(file, EOFError), mode="r:") as tar:
                yield tar
            return
        zstandard = _zstandard()
        with zstandard.ZstdDecompressor().stream_reader(file) as reader:
            guarded = _Guarded(cast(BinaryIO, reader), zstandard.ZstdError)
            with tarfile.open(fileobj=guarded, mode="r:") as tar:
                yield tar


def _zstandard() -> ModuleType:
    try:
        import zstandard
    except ImportError as error:
        raise ToolError(
            "zstandard is not installed", hint="pip install 'cortexbuild[zstd]'"
        ) from error
    return zstandard
