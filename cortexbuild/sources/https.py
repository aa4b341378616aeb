"""A file at a URL: `https://host/model.gguf#sha256=…`. The sha256 is what one trusts.

Who one is to that host stands in ~/.netrc, or in the file that NETRC names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ..core.digest import Digest, File, Tree
from ..core.lock import Pinned
from ..core.ports import Delivery, Looks, Source
from ..errors import IS_IT_UP, RemoteError, UsageError
from ._download import download
from ._neighbours import adopt
from ._network import (
    check_online,
    is_offline,
    length_of,
    login_of,
    network_errors,
    open_by_ranges,
)


def pin(origin: str, root: Path, looks: Looks) -> Pinned:
    del root, looks
    url, name, digest = _parsed(origin)
    check_online(url)
    from huggingface_hub.utils import get_session, hf_raise_for_status

    from ..formats.detection import detect_files

    try:
        answer = get_session().head(url, headers=_headers(url), follow_redirects=True)
        hf_raise_for_status(answer)
        size = length_of(answer.headers.get("Content-Length", ""))
        if not size:
            raise RemoteError(
                f"{url} does not say how large it is",
                hint="name a server that says it, or bring the file and use `path:`",
            )
        facts = detect_files(_OneFile(url, {name: size}), PurePosixPath(name).stem)
    except network_errors() as error:
        raise RemoteError(f"{url} could not be reached: {error}", hint=IS_IT_UP) from error
    return Pinned(origin, Tree.of([File(name, digest, size)]), facts.to_plain())


def fetch(pinned: Pinned, root: Path, delivery: Delivery) -> None:
    del root
    url, _, _ = _parsed(pinned.origin)
    (file,) = pinned.tree.files
    if adopt(file, delivery):
        return
    if is_offline():
        raise RemoteError(
            f"offline, and {url} is not on this machine",
            hint="leave `--offline` out once, or bring the file and use `path:`",
        )
    try:
        download(file, url, _headers(url), delivery)
    except network_errors() as error:
        raise RemoteError(
            f"{url} could not be fetched: {error}",
            hint="what came is kept: run the same command again",
        ) from error


def has(pinned: Pinned, root: Path, looks: Looks) -> bool:
    """Whether the server gives a file of that size; not when it cannot be asked."""
    del root, looks
    if is_offline():
        return False
    from huggingface_hub.utils import get_session, hf_raise_for_status

    url, _, _ = _parsed(pinned.origin)
    try:
        answer = get_session().head(url, headers=_headers(url), follow_redirects=True)
        hf_raise_for_status(answer)
    except network_errors():
        return False
    return length_of(answer.headers.get("Content-Length", "")) == pinned.tree.size


class _OneFile:
    def __init__(self, url: str, sizes: dict[str, int]) -> None:
        self._url, self.sizes = url, sizes

    def open(self, path: str):  # type: ignore[no-untyped-def]
        return open_by_ranges(self._url, self.sizes[path], _headers(self._url))


def _headers(url: str) -> Mapping[str, str]:
    login = login_of(urlsplit(url).hostname or "")
    return {"Authorization": f"Basic {login}"} if login else {}


def _parsed(origin: str) -> tuple[str, str, Digest]:
    parts = urlsplit(origin)
    name = PurePosixPath(unquote(parts.path)).name
    found = re.fullmatch(r"sha256=([0-9a-f]{64})", parts.fragment)
    if found is None or not name or not parts.hostname:
        raise UsageError(
            f"`{origin}` does not say what it should be",
            hint="write the sha256 of the file behind it: `https://host/model.gguf#sha256=…`",
        )
    return origin.partition("#")[0], name, Digest(found[1])


SOURCE = Source("https", pin, fetch, has=has)
