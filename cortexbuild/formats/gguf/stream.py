"""Reading a GGUF header piece by piece: numbers, text, and the values of its metadata."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from ...errors import IntegrityError
from ..foreign import MAX_HEADER, refuse

SHORT_ARRAY = 256
"""Arrays up to this length are kept in any case; longer ones only when asked for."""

SMALLEST_FIELD = 13
"""Bytes: the length of a name, a type and one byte."""

_MOST_KEPT = 1 << 22
_CHUNK = 1 << 16
_TEXT, _ARRAY = 8, 9
_FORMS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""The types of values (`enum gguf_metadata_value_type`) as `struct` writes them."""


@dataclass(frozen=True, slots=True)
class Omitted:
    """Stands for an array that was not kept: only its length is known."""

    length: int


Scalar: TypeAlias = bool | int | float | str
Value: TypeAlias = Scalar | tuple[Scalar, ...] | Omitted


class Reader:
    """A stream, and how far into it we are. Never reads past the file or the allowed header."""

    def __init__(self, stream: BinaryIO, file_size: int, where: str) -> None:
        self._stream = stream
        self._size = file_size
        self.place = 0
        self.where = where

    def refuse(self, what: str) -> IntegrityError:
        return refuse(self.where, f"{what}, at byte {self.place}")

    def demand(self, count: int) -> None:
        """Refuse a header that goes on for `count` more bytes when these cannot be there."""
        if count > self._size - self.place:
            raise self.refuse(f"truncated: {count} more bytes announced than the file has room for")
        if count > MAX_HEADER - self.place:
            raise self.refuse(f"its header has more than the {MAX_HEADER} bytes that are allowed")

    def take(self, count: int) -> bytes:
        self.demand(count)
        taken = self._stream.read(count)
        if len(taken) < count:
            raise self.refuse("truncated: it ends within its header")
        self.place += count
        return taken

    def skip(self, count: int) -> None:
        self.demand(count)
        while count:
            count -= len(self.take(min(count, _CHUNK)))

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def count(self, smallest: int, *, most: int) -> int:
        """How many things follow, each of at least `smallest` bytes."""
        found = self.number(8)
        self.demand(found * smallest)
        if found > most:
            raise self.refuse(f"announces {found} things; at most {most} are allowed")
        return found

    def text(self) -> bytes:
        return self.take(self.number(8))

    def name(self) -> str:
        try:
            return self.text().decode()
        except UnicodeDecodeError:
            raise self.refuse("a name that is not text") from None


def read_value(reader: Reader, *, keep_arrays: bool) -> Value:
    kind = reader.number(4)
    if kind != _ARRAY:
        return _scalars(reader, kind, 1)[0]
    kind = reader.number(4)
    most = _MOST_KEPT if keep_arrays else MAX_HEADER
    length = reader.count(8 if kind == _TEXT else _width(reader, kind), most=most)
    if keep_arrays or length <= SHORT_ARRAY:
        return _scalars(reader, kind, length)
    if kind == _TEXT:
        for _ in range(length):
            reader.skip(reader.number(8))
    else:
        reader.skip(length * _width(reader, kind))
    return Omitted(length)


def _scalars(reader: Reader, kind: int, count: int) -> tuple[Scalar, ...]:
    if kind == _TEXT:
        return tuple(reader.text().decode(errors="surrogateescape") for _ in range(count))
    values = reader.take(count * _width(reader, kind))
    return struct.unpack(f"<{count}{_FORMS[kind]}", values)


def _width(reader: Reader, kind: int) -> int:
    if kind not in _FORMS:  # arrays within arrays too: llama.cpp reads none
        raise reader.refuse(f"a value of the unknown type {kind}")
    return struct.calcsize(f"<{_FORMS[kind]}")
