"""A shared cache, as far as bytes go: what each kind of remote can do.

A remote only moves bytes. What they are worth, in which order they are moved, when a transfer is
tried again: that is decided once, for all of them, in `cortexbuild/remotes/`.

Names, under the address of a remote; bazel-remote and a plain web server have the same:

    cas/<sha256>     the content of a file
    ac/<key>         the record of a step: JSON, signed
    roots/<digest>   the keys that one `push` was about, for the garbage collection
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

Area: TypeAlias = Literal["cas", "ac", "roots"]
"""The folders of a remote."""

Pieces: TypeAlias = Generator[bytes, None, None]
"""A content as it comes. Closing it ends the transfer."""


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """A thing that a remote has: `modified` is in seconds since 1970, `size` in bytes."""

    name: str
    size: int
    modified: float


Moved: TypeAlias = Callable[[int], None]
"""Told of bytes as they are moved: how many more."""


class Remote(Protocol):
    """One kind of store for many machines. Names are 64 hex digits.

    Every method raises RemoteError when the other side cannot be reached, refuses, or is not what
    the address says (a bucket that does not exist is an error, a name that does not is none).
    `passing` of the error says whether the same may work in a moment.
    """

    def sizes(self, area: Area, names: Sequence[str]) -> Mapping[str, int]:
        """The sizes of those of the names that are there, asked for many at a time."""
        ...

    def read(self, area: Area, name: str, start: int = 0) -> Pieces | None:
        """The content from byte `start` on, in pieces; None when there is no such name.

        At most some tens of MB are held in memory, however large the content. The caller may stop
        at any point and close the iterator.
        """
        ...

    def write(
        self, area: Area, name: str, source: Path, moved: Moved, *, only_new: bool = False
    ) -> bool:
        """Put a file there under a name, all of it or nothing. Says whether it was written.

        With `only_new` what is there already stays, where the other side can do that in one step;
        over HTTP it cannot, and the last writer wins.
        """
        ...

    def entries(self, area: Area) -> Iterator[RemoteObject]:
        """All that is there. RemoteError when the other side does not tell."""
        ...

    def remove(self, area: Area, name: str) -> None:
        """Take a name away; one that is not there is no error."""
        ...
