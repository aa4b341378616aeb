"""The Hub's xet storage: a file is a list of chunks, and chunks lie in xorbs, many in each.

Only what the client asks for to bring a file. Names are hashes, which the client does not compare
with what it gets: any will do. Chunks are not compressed, and the client may, as it does with
files of less than 256 MB, ask for all of a file at once.

Of a file in LFS the Hub then says with HEAD what it is called here, and where a token is to be
had. With that token the storage tells which xorbs it is in, and these are had without a token.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hub.model import Answer, Blob, Refused

if TYPE_CHECKING:
    from hub.routes import Call

CHUNK = 1 << 16
PIECE = 4 * CHUNK
"""Of a file in each of its xorbs. Real ones are of up to 64 MB."""

OTHERS = b"the end of another file" * 100


@dataclass(frozen=True)
class Term:
    """A part of a file: all chunks of a xorb but the first, which belongs to another file."""

    xorb: str
    length: int
    chunks: int
    start: int
    end: int

    def listed(self) -> dict[str, Any]:
        span = {"start": 1, "end": self.chunks}
        return {"hash": self.xorb, "unpacked_length": self.length, "range": span}

    def lies(self, at: str) -> dict[str, Any]:
        """Where to get it. The last byte is within."""
        span = {"start": 1, "end": self.chunks}
        bytes_ = {"start": self.start, "end": self.end}
        return {"url": f"{at}/{self.xorb}", "ranges": [{"chunks": span, "bytes": bytes_}]}


@dataclass
class Xet:
    """`tokens` are those that it gave out; one of them is asked for with each file."""

    files: dict[str, list[Term]] = field(default_factory=dict)
    xorbs: dict[str, bytes] = field(default_factory=dict, repr=False)
    tokens: set[str] = field(default_factory=set)

    def keep(self, blob: Blob) -> str:
        """Its name here, which is another than its sha256, as on the Hub."""
        name = hashlib.sha256(b"xet" + blob.data).hexdigest()
        pieces = [blob.data[start : start + PIECE] for start in range(0, len(blob.data), PIECE)]
        self.files[name] = [self._xorb(piece) for piece in pieces]
        return name

    def _xorb(self, piece: bytes) -> Term:
        chunks = [piece[start : start + CHUNK] for start in range(0, len(piece), CHUNK)]
        other, *ours = (_packed(chunk) for chunk in (OTHERS, *chunks))
        body = other + b"".join(ours)
        name = hashlib.sha256(body).hexdigest()
        self.xorbs[name] = body
        return Term(name, len(piece), 1 + len(ours), len(other), len(body) - 1)


def about(call: Call, blob: Blob, commit: str) -> dict[str, str]:
    """What HEAD says of a file more, where the Hub has it in xet."""
    if not call.hub.xet:
        return {}
    route = f"{call.hub.url}/api/models/{call.name}/xet-read-token/{commit}"
    return {"X-Xet-Hash": call.hub.storage.keep(blob), "Link": f'<{route}>; rel="xet-auth"'}


def xet_read_token(call: Call) -> Answer:
    """refresh_xet_connection_info, which reads headers, and hf_xet itself, which reads the body."""
    call.enter()
    call.commit()
    token, ends = f"xet-{call.rev[:8]}", int(time.time()) + 3600
    call.hub.storage.tokens.add(token)
    url = f"{call.hub.cdn}/cas"
    said = {"casUrl": url, "exp": ends, "accessToken": token}
    headers = {
        "X-Xet-Cas-Url": url,
        "X-Xet-Access-Token": token,
        "X-Xet-Token-Expiration": str(ends),
    }
    return Answer(200, json.dumps(said).encode(), headers | {"Content-Type": "application/json"})


def reconstruction(call: Call) -> Answer:
    """Which parts of which xorbs are the file, in order."""
    storage = call.hub.storage
    if call.token not in storage.tokens:
        raise Refused(401, "", "Not a token of this storage")
    if call.name not in storage.files:
        raise Refused(404, "", "No such file")
    terms = storage.files[call.name]
    at = f"{call.hub.cdn}/cas/xorbs"
    said = {
        "offset_into_first_range": 0,
        "terms": [term.listed() for term in terms],
        "xorbs": {term.xorb: [term.lies(at)] for term in terms},
    }
    return Answer(200, json.dumps(said).encode(), {"Content-Type": "application/json"})


def xorb(call: Call) -> Answer:
    if call.name not in call.hub.storage.xorbs:
        raise Refused(403, "", "Access denied")
    return Answer(200, call.hub.storage.xorbs[call.name], etag=call.name)


def _packed(chunk: bytes) -> bytes:
    """With its header: the version, its length, how it is compressed, and its length unpacked."""
    length = len(chunk).to_bytes(3, "little")
    return b"\0" + length + b"\0" + length + chunk
