"""Spend bytes where they matter: one option for each layer, the least cost within a budget.

This is the multiple-choice knapsack problem. It is solved exactly by dynamic programming over
undominated partial choices (Nemhauser and Ullmann, "Discrete dynamic programming and capital
allocation", 1969), of which a Lagrangian bound leaves few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ToolError
from .frontier import Layers, Option, climb, smallest_choice

MOST_STATES = 200_000
"""Partial choices that are open at once. Most models leave some thousands."""

_FEW_STATES = 500


@dataclass(frozen=True, slots=True)
class Allocation:
    """`choice` has the number of each layer's option. `size` and `cost` are their sums.

    No choice within the budget costs less than `bound`, which is `cost` itself where this is
    exact.
    """

    choice: tuple[int, ...]
    size: int
    cost: float
    bound: float

    @property
    def gap(self) -> float:
        """By how much the cost may be above the least possible one, at most."""
        return self.cost - self.bound


def allocate(layers: Layers, budget: int, most_states: int = MOST_STATES) -> Allocation:
    """The choice of least cost whose size is at most `budget`.

    It is exact unless more than `most_states` partial choices are open at once, and then the gap
    says how far off it may be. Raises ToolError when even the smallest choice is over the budget.
    """
    smallest = _sum_up(layers, smallest_choice(layers))
    if smallest.size > budget:
        raise ToolError(
            f"{smallest.size} bytes are needed at least, and the budget is {budget}",
            hint="allow more under `fit:`",
        )
    known, slope = _greedy(layers, smallest, budget)
    # A quick look at the most promising ones finds a better choice to measure the others by.
    found = _search(layers, budget, slope, known, min(_FEW_STATES, most_states))
    return _search(layers, budget, slope, found, most_states) if found.gap > 0 else found


@dataclass(frozen=True, slots=True)
class _States:
    """Partial choices by size, with their sums; each extends one of the states before by an
    option."""

    sizes: NDArray[np.int64]
    costs: NDArray[np.float64]
    parents: NDArray[np.int64]
    options: NDArray[np.int64]

    def __getitem__(self, which: NDArray[np.int64]) -> _States:
        return _States(
            self.sizes[which], self.costs[which], self.parents[which], self.options[which]
        )


def _greedy(layers: Layers, smallest: Allocation, budget: int) -> tuple[Allocation, float]:
    """Take the steps of the frontier that fit. Also what a byte is worth where they end."""
    choice, room = list(smallest.choice), budget - smallest.size
    slope = None
    stuck: set[int] = set()
    for step in climb(layers):
        if step.layer in stuck:
            continue
        if step.size > room:
            slope = step.slope if slope is None else slope
            stuck.add(step.layer)
            continue
        room -= step.size
        choice[step.layer] = step.option
    return _sum_up(layers, tuple(choice)), slope or 0.0


def _search(
    layers: Layers, budget: int, slope: float, known: Allocation, most_states: int
) -> Allocation:
    """The best choice, given a `known` one. Any slope gives a right answer, a good one sooner."""
    lost = known.cost
    rest = _least_of_rest([[it.cost + slope * it.size for it in options] for options in layers])
    smallest = _least_of_rest([[it.size for it in options] for options in layers])
    none = np.zeros(1, np.int64)
    states = [_States(none, np.zeros(1), none, none)]
    for at, options in enumerate(layers, 1):
        grown = _undominated(_extended(states[-1], options, budget - int(smallest[at])))
        bounds = grown.costs + slope * (grown.sizes - budget) + rest[at]
        open_ = np.flatnonzero(bounds < known.cost)
        if len(open_) > most_states:
            order = open_[np.argsort(bounds[open_], kind="stable")]
            lost = min(lost, float(bounds[order[most_states]]))
            open_ = np.sort(order[:most_states])
        states.append(grown[open_])
    best = known
    if len(states[-1].costs):
        found = _sum_up(layers, _traced(states))
        best = found if found.cost < known.cost else known
    return Allocation(best.choice, best.size, best.cost, min(lost, best.cost))


def _extended(states: _States, options: Sequence[Option], room: int) -> _States:
    """All states with one more layer whose size is at most `room`."""
    sizes = np.array([option.size for option in options], np.int64)
    costs = np.array([option.cost for option in options])
    parents, chosen = np.indices((len(states.sizes), len(options))).reshape(2, -1)
    grown = _States(
        states.sizes[parents] + sizes[chosen], states.costs[parents] + costs[chosen],
        parents, chosen,
    )  # fmt: skip
    return grown[np.flatnonzero(grown.sizes <= room)]


def _undominated(states: _States) -> _States:
    """By size, and without those that cost no less than a smaller one."""
    states = states[np.lexsort((states.costs, states.sizes))]
    if len(states.costs) == 0:
        return states
    before = np.minimum.accumulate(states.costs)[:-1]
    return states[np.flatnonzero(np.append(True, states.costs[1:] < before))]


def _traced(states: Sequence[_States]) -> tuple[int, ...]:
    """The options that led to the last state, which costs least."""
    choice, at = [], len(states[-1].costs) - 1
    for layer in reversed(states[1:]):
        choice.append(int(layer.options[at]))
        at = int(layer.parents[at])
    return tuple(reversed(choice))


def _least_of_rest(values: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """The sum of the least values of the layers from each on. One longer than `values`."""
    least = [min(of_layer) for of_layer in values]
    return np.append(np.cumsum(least[::-1])[::-1], 0.0)


def _sum_up(layers: Layers, choice: tuple[int, ...]) -> Allocation:
    taken = [options[n] for options, n in zip(layers, choice, strict=True)]
    cost = float(sum(option.cost for option in taken))
    return Allocation(choice, sum(option.size for option in taken), cost, cost)
