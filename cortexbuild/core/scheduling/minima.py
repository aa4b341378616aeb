"""Numbers in places of a row: which is the first place whose number is at most so much?"""

from __future__ import annotations

from math import inf


class Minima:
    """A tree of the least number of the row, of its halves, of their halves and so on: a change
    and a question go once from the top to the bottom. A place that was not set holds nothing."""

    def __init__(self) -> None:
        self._least: list[float] = [inf, inf]  # of node n the halves are 2 n and 2 n + 1

    def set(self, place: int, number: float) -> None:
        while place >= len(self._least) // 2:
            self._least = _twice_as_long(self._least)
        least, node = self._least, len(self._least) // 2 + place
        least[node] = number
        while node > 1:
            node //= 2
            least[node] = min(least[2 * node], least[2 * node + 1])

    def clear(self, place: int) -> None:
        self.set(place, inf)

    def first(self, most: float) -> int | None:
        """The first place with at most so much."""
        least = self._least
        if least[1] > most:
            return None
        node, leaves = 1, len(least) // 2
        while node < leaves:
            node *= 2
            node += least[node] > most
        return node - leaves


def _twice_as_long(least: list[float]) -> list[float]:
    """The same row with as many empty places behind it."""
    longer, width = [inf, least[1]], 1
    while width < len(least):
        longer += [*least[width : 2 * width], *[inf] * width]
        width *= 2
    return longer
