"""What was found wrong in a remote, remembered until a push from here has put it right.

A remote tells the size of what it has and not whether it is whole, so a push that only asks
"is it there?" would leave a flipped byte where it is for ever.
"""

from __future__ import annotations

from ..core.address import Address
from ..core.remote import Area
from ..store.index import Index


def note_wrong(index: Index, address: Address, area: Area, name: str) -> None:
    index.keep_note(_note(address, area, name), "wrong")


def is_wrong(index: Index, address: Address, area: Area, name: str) -> bool:
    return index.note(_note(address, area, name)) == "wrong"


def note_right(index: Index, address: Address, area: Area, name: str) -> None:
    if is_wrong(index, address, area, name):
        index.keep_note(_note(address, area, name), "")


def _note(address: Address, area: Area, name: str) -> str:
    return f"remote/{address.url}/{area}/{name}"
