"""The best choices at every size, as far as they lie on a convex curve: cost against bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """What a layer would take in bytes, and what it would cost in quality; neither is negative."""

    size: int
    cost: float


Layers = Sequence[Sequence[Option]]
"""The options of each layer, one at least."""


@dataclass(frozen=True, slots=True)
class Step:
    """A layer goes on to an option that takes `size` bytes more; each saves `slope` of the cost."""

    layer: int
    option: int
    size: int
    slope: float


@dataclass(frozen=True, slots=True)
class Point:
    """The sums of a choice on the frontier."""

    size: int
    cost: float


def smallest_choice(layers: Layers) -> tuple[int, ...]:
    """The number of each layer's smallest option, the one of least cost of several."""
    return tuple(
        min(range(len(options)), key=lambda n: (options[n].size, options[n].cost))
        for options in layers
    )


def climb(layers: Layers) -> list[Step]:
    """The steps from the smallest choice to that of the least cost, the most worth first.

    Those of one layer are in their order. Taken up to any place, they give a choice that no other
    of its size or less is better than.
    """
    steps = [step for at, options in enumerate(layers) for step in _hull(at, options)]
    return sorted(steps, key=lambda step: (-step.slope, step.layer, step.size))


def frontier(layers: Layers) -> list[Point]:
    """Size and cost after each step of `climb`, from the smallest choice on."""
    taken = list(smallest_choice(layers))
    size = sum(options[n].size for options, n in zip(layers, taken, strict=True))
    cost = sum(options[n].cost for options, n in zip(layers, taken, strict=True))
    points = [Point(size, cost)]
    for step in climb(layers):
        size += step.size
        cost -= step.slope * step.size
        points.append(Point(size, max(cost, 0.0)))
    return points


def _hull(layer: int, options: Sequence[Option]) -> Iterator[Step]:
    """The lower convex hull of one layer's options, from its smallest one."""
    hull: list[int] = []
    for n in sorted(range(len(options)), key=lambda n: (options[n].size, options[n].cost)):
        if hull and options[n].cost >= options[hull[-1]].cost:
            continue
        while len(hull) > 1 and _slope(options, hull[-2], hull[-1]) <= _slope(options, hull[-1], n):
            hull.pop()
        hull.append(n)
    for before, after in zip(hull, hull[1:], strict=False):
        size = options[after].size - options[before].size
        yield Step(layer, after, size, _slope(options, before, after))


def _slope(options: Sequence[Option], before: int, after: int) -> float:
    """What a byte saves. The sizes differ, since of two of one size only the better is there."""
    return (options[before].cost - options[after].cost) / (
        options[after].size - options[before].size
    )
