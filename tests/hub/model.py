"""What a Hub holds, what it is asked, and what may go wrong."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatch
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Drop:
    """The connection ends after so many bytes of the body; `reset` ends it with a TCP reset."""

    after: int
    reset: bool = False


@dataclass(frozen=True)
class Status:
    """Another answer: 429 with Retry-After, 500, 503, 403 as an expired link gives."""

    code: int
    retry_after: int | None = None
    error_code: str = ""


@dataclass(frozen=True)
class Flip:
    """The byte at this offset of the file is wrong; its length is right."""

    at: int


@dataclass(frozen=True)
class Cut:
    """The file ends early by so many bytes, and says so: shorter than its listing announced."""

    by: int = 1


@dataclass(frozen=True)
class Slow:
    """Nothing comes for so many seconds; then all of it."""

    seconds: float


Fault = Drop | Status | Flip | Cut | Slow


@dataclass(frozen=True)
class Blob:
    """A file's content; one in LFS is known by its sha256, another by its git blob's sha1."""

    data: bytes = field(repr=False)
    lfs: bool

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        """What git itself holds of a file in LFS."""
        head = "version https://git-lfs.github.com/spec/v1"
        return f"{head}\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @cached_property
    def oid(self) -> str:
        held = self.pointer if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(held) + held).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid

    def listed(self, digest: str) -> dict[str, Any]:
        """Its size, and of a file in LFS the sha256 under the name that the endpoint uses."""
        row: dict[str, Any] = {"size": len(self.data)}
        if self.lfs:
            row["lfs"] = row | {digest: self.sha256, "pointerSize": len(self.pointer)}
        return row


@dataclass
class Repo:
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False
    disabled: bool = False
    card: dict[str, Any] = field(default_factory=dict)
    made: dict[str, datetime] = field(default_factory=dict)


@dataclass
class Request:
    """One request, and what became of it. `range` is as asked: an open end is None."""

    method: str
    path: str
    query: str
    range: tuple[int | None, int | None] | None
    token: str | None
    status: int = 0
    sent: int = 0


@dataclass
class Answer:
    """`etag` says that parts of the body may be asked for."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = ""


class Refused(Exception):
    """The client makes its exception of the code and the message, both headers."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        body = json.dumps({"error": message}).encode()
        plain = message.encode("ascii", "replace").decode()
        kind = {"Content-Type": "application/json", "X-Error-Message": plain}
        named = {"X-Error-Code": code} if code else {}
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = Answer(status, body, kind | named | more)


@dataclass
class Armed:
    fault: Fault
    pattern: str
    method: str
    times: int

    def meets(self, request: Request) -> bool:
        paths = (request.path, f"{request.path}?{request.query}")
        return self.method in ("*", request.method) and any(fnmatch(p, self.pattern) for p in paths)
