"""`push`, `bundle …`, `keys …` and `cluster …` with `--json`."""

from __future__ import annotations

from collections.abc import Mapping

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
    "listening/1": Listening,
    "certificates/1": Certificates,
}
