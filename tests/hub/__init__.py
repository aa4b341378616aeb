"""A Hugging Face Hub on loopback, for tests: what the real client asks, it answers.

    with Hub() as hub:
        sha = hub.commit("org/model", {"config.json": b"{}", "model.safetensors": b"..."})
        hub.fault(Drop(after=1000), "/cdn/*")
        HfApi(endpoint=hub.url).model_info("org/model")

Large files come from a second port of 127.0.0.1: the real Hub keeps them on another host, where the
client sends no token and asks for no metadata. With `xet` the Hub has them in its xet storage too,
on that second port, and says so: hf_xet brings them from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from threading import Event, RLock

from hub.model import (
    Answer,
    Armed,
    Blob,
    Cut,
    Drop,
    Fault,
    Flip,
    Refused,
    Repo,
    Request,
    Slow,
    Status,
)
from hub.routes import answer
from hub.server import Server
from hub.xet import Xet

__all__ = ["Cut", "Drop", "Fault", "Flip", "Hub", "Repo", "Request", "Slow", "Status"]

LFS = ("*.safetensors", "*.gguf", "*.bin")
START = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass
class Hub:
    """`url` is what HF_ENDPOINT is set to. A token of `tokens` may read all; one of `revoked` is
    not valid; any other belongs to somebody without access. `page` is a tree's page size."""

    page: int = 1000
    xet: bool = False
    repos: dict[str, Repo] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    tokens: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    log: list[Request] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict, repr=False)
    storage: Xet = field(default_factory=Xet, repr=False)

    def __post_init__(self) -> None:
        self.lock, self.stopping = RLock(), Event()
        self.armed: list[Armed] = []
        self.errors: list[BaseException] = []

    def __enter__(self) -> Hub:
        self._servers = [Server(self), Server(self)]
        self.url, self.cdn = (server.url for server in self._servers)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stopping.set()
        for server in self._servers:
            server.stop()
        if self.errors and kind is None:
            raise AssertionError("the hub itself failed") from self.errors[0]

    def commit(
        self,
        repo: str,
        files: Mapping[str, bytes],
        *,
        branch: str = "main",
        lfs: tuple[str, ...] = LFS,
        gated: bool = False,
        private: bool = False,
    ) -> str:
        """A commit whose tree is exactly these files. A gated or private repo stays so."""
        tree = {p: Blob(files[p], any(fnmatch(p, each) for each in lfs)) for p in sorted(files)}
        with self.lock:
            held = self.repos.setdefault(repo, Repo())
            held.gated, held.private = held.gated or gated, held.private or private
            text = held.branches.get(branch, "") + "".join(
                f"\n{p} {b.oid}" for p, b in tree.items()
            )
            sha = hashlib.sha1(text.encode()).hexdigest()
            held.commits[sha], held.branches[branch] = tree, sha
            held.made.setdefault(sha, START + timedelta(minutes=len(held.made)))
            self.stored |= {blob.sha256: blob.data for blob in tree.values() if blob.lfs}
        return sha

    def tag(self, repo: str, name: str, commit: str) -> None:
        self.repos[repo].tags[name] = commit

    def delete_revision(self, repo: str, revision: str) -> None:
        """A branch or a tag by name; a commit with every name of it."""
        held = self.repos[repo]
        with self.lock:
            held.commits.pop(revision, None)
            for names in (held.branches, held.tags):
                for name in [n for n, sha in names.items() if revision in (n, sha)]:
                    del names[name]

    def delete_repo(self, repo: str) -> None:
        del self.repos[repo]

    def fault(self, fault: Fault, path: str = "*", *, method: str = "GET", times: int = 1) -> None:
        """For the next requests whose path, with its query or without, matches. LFS files are at
        `/cdn/<sha256>?filename=<name>`, xet has them at `/cas/v2/reconstructions/<name>` and in
        `/cas/xorbs/*`. Method `*` is any."""
        with self.lock:
            self.armed.append(Armed(fault, path, method, times))

    def arrives(self, request: Request) -> Fault | None:
        """Log it, and use up the first fault that is meant for it."""
        with self.lock:
            self.log.append(request)
            for armed in self.armed:
                if armed.times > 0 and armed.meets(request):
                    armed.times -= 1
                    return armed.fault
        return None

    def answer(
        self, method: str, path: str, query: str, token: str | None, body: bytes = b""
    ) -> Answer:
        """`path` is still quoted: a branch's name may hold a slash."""
        try:
            with self.lock:
                return answer(self, method, path, query, token, body)
        except Refused as refused:
            return refused.answer
