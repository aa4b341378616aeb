"""Models of the Hugging Face Hub: `hf:org/name@revision`, and one file of them with `/file.gguf`.

Pinned from metadata and by ranges of headers, so nothing of the weights comes before it is
known what they are and how many bytes. Fetched at the pinned commit, file by file, each compared
with the sha256 that was pinned. HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE mean what they
mean to huggingface-hub.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ...core.lock import Pinned
from ...core.ports import Delivery, Looks, Source
from ...errors import RemoteError
from .._download import download
from .._neighbours import adopt
from .._network import check_online, is_offline
from .origin import Origin

OFFLINE = "HF_HUB_OFFLINE"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before the client is imported


def pin(origin: str, root: Path, looks: Looks) -> Pinned:
    """Raises UsageError for what is not there, RemoteError for what cannot be had."""
    del root  # nothing on the Hub is relative to the project
    asked = Origin.parse(origin)
    check_online(origin, OFFLINE)
    from .remote import look_at

    return look_at(origin, asked, looks)


def fetch(pinned: Pinned, root: Path, delivery: Delivery) -> None:
    del root
    asked = Origin.parse(pinned.origin)
    missing = [file for file in pinned.tree.files if not adopt(file, delivery)]
    if missing and is_offline(OFFLINE):
        names = ", ".join(file.path for file in missing)
        raise RemoteError(
            f"offline, and {len(missing)} of the {len(pinned.tree.files)} files of "
            f"{pinned.origin} are not on this machine: {names}",
            hint="sync once without `--offline`",
        )
    if not missing:
        return
    from .refusals import errors_of
    from .remote import address
    from .xet import Xet

    xet = Xet()
    with errors_of(asked, pinned.commit):
        for file in missing:
            url, headers = address(asked, pinned.commit, file.path)
            download(file, url, headers, delivery, xet.bring)


def has(pinned: Pinned, root: Path, looks: Looks) -> bool:
    """Whether the Hub has the weights at that commit, for everybody; no when it is not asked."""
    del root, looks
    if is_offline(OFFLINE):
        return False
    from .remote import still_has

    return still_has(Origin.parse(pinned.origin), pinned)


def floats(origin: str) -> bool:
    """A branch or a tag does; a whole commit does not."""
    return not re.fullmatch(r"[0-9a-f]{40}", Origin.parse(origin).revision)


def dated(pinned: Pinned) -> str:
    """The day of its commit; nothing where the Hub does not say, as when it is gone."""
    from .remote import day_of

    return day_of(Origin.parse(pinned.origin), pinned.commit)


SOURCE = Source("hf", pin, fetch, has=has, floats=floats, dated=dated)
