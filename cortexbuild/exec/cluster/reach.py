"""What of the contents of steps is in the shared caches, so that a worker can have it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import Lock

from ...core.address import Address
from ...core.digest import Digest, File, Tree
from ...core.remote import Remote
from ...errors import RemoteError
from ...remotes.transfer import persist
from ...store.local import LocalStore


class Reach:
    """`remotes` are those that are read, and the workers read them in the same order; what is made
    is written to the remote of address `to`, which is one of them."""

    def __init__(
        self,
        store: LocalStore,
        remotes: Sequence[Address],
        to: Address,
        open_: Callable[[Address], Remote],
    ) -> None:
        self.remotes, self.to = tuple(remotes), to
        self._store, self._open = store, open_
        self._clients: dict[str, Remote] = {}
        self._there: set[Digest] = set()
        self._lock = Lock()

    def has(self, tree: Tree) -> bool:
        """Whether all of a tree can be had: from here or from there."""
        return not self.missing(f for f in tree.files if not self._store.has_blob(f))

    def missing(self, files: Iterable[File]) -> list[File]:
        """Those that are in no remote. One that cannot be asked has none."""
        with self._lock:
            left = {file.digest: file for file in files if file.digest not in self._there}
            for address in self.remotes if left else ():
                try:
                    asking = partial(self._client(address).sizes, "cas", list(left))
                    sizes = persist(asking)
                except RemoteError:
                    continue
                for name, size in sizes.items():
                    digest = Digest(name)
                    if left[digest].size == size:
                        self._there.add(digest)
                        del left[digest]
            return list(left.values())

    def note(self, files: Iterable[File]) -> None:
        """They have been brought there."""
        with self._lock:
            self._there.update(file.digest for file in files)

    def _client(self, address: Address) -> Remote:
        if address.name not in self._clients:
            self._clients[address.name] = self._open(address)
        return self._clients[address.name]
