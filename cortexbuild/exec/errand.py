"""Contents on their way between a store and the shared caches, beside a step that needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ..core.address import Address
from ..core.digest import File, Tree
from ..core.ports import Progress
from ..core.remote import Remote
from ..errors import RemoteError
from ..remotes import open_remote
from ..remotes.receive import receive
from ..remotes.send import Sender, send_contents
from ..store.delivery import StoreDelivery
from ..store.local import LocalStore
from ..store.scratch import scratch


@dataclass(frozen=True, slots=True)
class Errand:
    """Trees to `bring` into a store from these remotes in turn, or files to send from it to one.

    Plain data, as a job is: it is run by a child, which a person's Ctrl-C ends at any moment.
    """

    label: str
    store: str
    root: str
    log: str
    bring: tuple[Tree, ...] = ()
    remotes: tuple[Address, ...] = ()
    send: tuple[File, ...] = ()
    to: Address | None = None


def run_errand(
    errand: Errand, store: LocalStore, say: Callable[[str], None], progress: Progress
) -> None:
    root = Path(errand.root)
    if errand.bring:
        remotes = open_remotes(errand.remotes, root, say)
        for tree in errand.bring:
            with (
                scratch(store.root) as folder,
                closing(StoreDelivery(store, tree, folder, progress)) as delivery,
            ):
                receive(tree, remotes, store, delivery, say)
    if errand.to is not None:
        total, done = sum(file.size for file in errand.send), 0

        def moved(count: int) -> None:
            nonlocal done
            done += count
            progress(done, total)

        sender = Sender(errand.to, open_remote(errand.to, root), None, {}, store)
        send_contents(sender, errand.send, moved)


def open_remotes(
    addresses: Sequence[Address], root: Path, say: Callable[[str], None]
) -> list[tuple[Address, Remote]]:
    """The clients for those addresses that there are clients for here."""
    found = []
    for address in addresses:
        try:
            found.append((address, open_remote(address, root)))
        except RemoteError as error:  # another may have all of it
            say(f"{address.name}: {error}")
    return found
