from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from remotes import servers

from cortexbuild.core.address import Address
from cortexbuild.core.remote import Remote
from cortexbuild.remotes import open_remote

REAL = os.environ.get("CORTEX_TEST_S3", "").rstrip("/")
"""A bucket and prefix of a real S3: the contract is then checked there too, with the credentials
of the environment."""
KINDS = ["folder", "http", "https", "s3", *(["s3-real"] if REAL else [])]
BUCKET = "team-models"
KEYS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret"}

needs_nginx = pytest.mark.skipif(
    servers.find_nginx() is None,
    reason="no nginx: `apt-get install nginx-light` or `brew install nginx`, or set NGINX",
)
ALL_KINDS = [
    pytest.param(kind, marks=needs_nginx if kind.startswith("http") else ()) for kind in KINDS
]


@dataclass(frozen=True)
class Place:
    """Where a remote is, and what in the environment belongs to it."""

    address: Address
    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def open(self) -> Remote:
        return open_remote(self.address, self.root)


@pytest.fixture(autouse=True)
def bare_environment(request, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of whoever runs the tests nothing is known: no proxy, no credentials."""
    if (
        getattr(request.node, "callspec", None)
        and "s3-real" in request.node.callspec.params.values()
    ):
        return
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("AWS_", "AZURE_", "CORTEX_REMOTE_")):
            monkeypatch.delenv(name)
    for name in ("NETRC", "SSL_CERT_FILE", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="session")
def plain_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("http") / "nginx"


@pytest.fixture(scope="session")
def plain_url(plain_folder: Path) -> Iterator[str]:
    with servers.plain_nginx(plain_folder) as url:
        yield url


@pytest.fixture(scope="session")
def tls_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("https") / "nginx"


@pytest.fixture(scope="session")
def tls_url(tls_folder: Path) -> Iterator[str]:
    with servers.tls_nginx(tls_folder) as url:
        yield url


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory) -> Iterator[str]:
    with servers.moto(tmp_path_factory.mktemp("s3"), BUCKET) as url:
        yield url


@pytest.fixture
def place(request, tmp_path: Path) -> Callable[[str], Place]:
    """A remote of a kind, with nothing in it."""

    def at(kind: str) -> Place:
        new = uuid4().hex
        if kind == "folder":
            (tmp_path / new).mkdir()
            return Place(Address(url=f"file://{tmp_path / new}"), tmp_path)
        if kind == "http":
            address = Address(url=f"{request.getfixturevalue('plain_url')}/{new}")
            (request.getfixturevalue("plain_folder") / "srv" / "cortex" / new).mkdir()
            return Place(address, tmp_path)
        if kind == "https":
            folder = request.getfixturevalue("tls_folder")
            address = Address(
                url=f"{request.getfixturevalue('tls_url')}/{new}", name="team", ca="ca.pem"
            )
            (folder / "srv" / "cortex" / new).mkdir()
            who = {"CORTEX_REMOTE_TEAM_USER": servers.USER,
                   "CORTEX_REMOTE_TEAM_PASSWORD": servers.PASSWORD}  # fmt: skip
            return Place(address, folder, who)
        if kind == "s3-real":
            return Place(Address(url=f"{REAL}/{new}"), tmp_path)
        where = request.getfixturevalue("endpoint")
        address = Address(url=f"s3://{BUCKET}/{new}", endpoint=where, region="us-east-1")
        return Place(address, tmp_path, KEYS)

    return at
