"""`push`, `bundle …`, `keys …` and `cluster …` with `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired

from typing_extensions import TypedDict

from ...exec.cluster.offer import Offer
from ...remotes.bundle import Bundled
from ...remotes.send import Sent
from .building import NotSent


class Pushed(TypedDict):
    """What each remote got; `left_out` are targets that could not be sent, and why."""

    remotes: Mapping[str, Sent | NotSent]
    left_out: Mapping[str, str]


class Key(TypedDict):
    """A key. `secret`: this machine can sign with it; `trusted` says by what it is believed."""

    name: str
    secret: bool
    trusted: str


class Keys(TypedDict):
    """The keys that are known here."""

    keys: list[Key]


class PublicKey(TypedDict):
    """A key, as it is given to others, or to CI: `name:base64`."""

    name: str
    key: str


class Workers(TypedDict):
    """The machines of a cluster."""

    workers: list[Offer]


class Exported(TypedDict):
    """Where a target is now. `bytes` counts those of its files by how they came: `there` before,
    `cloned`, `linked` or `copied`."""

    target: str
    to: str
    name: str
    path: str
    digest: str
    bytes: Mapping[str, int]
    notes: list[str]


class Published(TypedDict):
    """What the Hub got, or with --dry-run would get: sizes by path. `commit` is what it made."""

    target: str
    repo: str
    revision: str
    files: Mapping[str, int]
    commit: str | None
    url: NotRequired[str]


class Served(TypedDict):
    """Where a model is served, by its own name there, once it answers."""

    target: str
    url: str
    model: str
    pid: int
    digest: str


class Listening(TypedDict):
    """Where a worker or a scheduler is to be reached, as soon as it is."""

    address: str


class Certificates(TypedDict):
    """The files that were written."""

    files: list[str]


DOCUMENTS = {
    "push/1": Pushed,
    "bundle-export/1": Bundled,
    "bundle-import/1": Bundled,
    "keys/1": Keys,
    "key/1": PublicKey,
    "cluster/1": Workers,
    "export/1": Exported,
    "push-to-hub/1": Published,
    "serve/1": Served,
    "listening/1": Listening,
    "certificates/1": Certificates,
}
