"""Shared caches: the clients, whom to believe, and how entries get there and back.

folder.py  http.py  objects.py    the kinds of remote (core/remote.py)
transfer.py                       one content, hashed as it comes, tried again, checked
signing.py  keys.py               who made a record, and the files that keys are kept in
tiers.py                          several remotes in order: records looked up and weighed
receive.py  send.py               entries on their way here and there
"""

from __future__ import annotations

from pathlib import Path

from ..core.address import Address
from ..core.remote import Remote
from ..errors import RemoteError


def open_remote(address: Address, root: Path) -> Remote:
    """The client for an address; nothing is asked of the other side yet.

    `root` is the folder of cortex.yaml. Raises RemoteError where the client's library is missing.
    """
    if address.scheme == "file":
        from .folder import FolderRemote

        return FolderRemote(Path(address.path))
    raise RemoteError(f"{address.url}: no client for {address.scheme} yet, under {root}")
