"""Shared caches: the clients, whom to believe, and how entries get there and back.

folder.py  http.py  objects.py    the kinds of remote (core/remote.py)
credentials.py  answers.py  listing.py    what an http remote needs: who one is, errors, the index
buckets.py  object_errors.py      what a bucket needs: how it is opened, errors in words
ranges.py                         several requests at a time
transfer.py                       one content, hashed as it comes, tried again, checked
traces.py  signing.py  keys.py    records, who vouches for them, the files that keys are kept in
tiers.py                          several remotes in order: records looked up and weighed
receive.py  send.py               results on their way here and there
repairs.py                        what was found wrong, until a push has put it right
audit.py  collect.py              is all of it right; what may go
bundle.py  archive.py             results as one file
"""

from __future__ import annotations

from pathlib import Path

from ..core.address import Address
from ..core.remote import Remote


def open_remote(address: Address, root: Path) -> Remote:
    """The client for an address; nothing is asked of the other side yet.

    `root` is the folder of cortex.yaml. Raises RemoteError where the client's library is missing.
    """
    if address.scheme == "file":
        from .folder import FolderRemote

        return FolderRemote(Path(address.path))
    if address.scheme in ("http", "https"):
        from .http import HttpRemote

        return HttpRemote(address, root)
    from .objects import ObjectRemote

    return ObjectRemote(address, root)
