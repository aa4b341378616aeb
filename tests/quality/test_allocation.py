"""The exact choice of one option for each layer within a budget."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cortexbuild.errors import ToolError
from cortexbuild.quality.allocation import allocate
from cortexbuild.quality.frontier import Option, climb, frontier, smallest_choice

OPTIONS = st.builds(Option, st.integers(0, 40), st.integers(0, 60).map(lambda n: n / 8))
LAYERS = st.lists(st.lists(OPTIONS, min_size=1, max_size=4), max_size=5)


def every_choice(layers):
    for choice in product(*map(range, map(len, layers))):
        taken = [options[n] for options, n in zip(layers, choice, strict=True)]
        yield sum(it.size for it in taken), sum(it.cost for it in taken)


MOST_FOR_A_BYTE_IS_NOT_BEST = [
    [Option(0, 12.0), Option(6, 0.0)],
    [Option(0, 9.0), Option(5, 0.0)],
    [Option(0, 9.0), Option(5, 0.0)],
]


@settings(deadline=None)
@given(LAYERS, st.integers(0, 160))
@example(MOST_FOR_A_BYTE_IS_NOT_BEST, 10)
def test_no_choice_within_the_budget_costs_less(layers, budget):
    fitting = [cost for size, cost in every_choice(layers) if size <= budget]
    if not fitting:
        with pytest.raises(ToolError, match=f"the budget is {budget}"):
            allocate(layers, budget)
        return
    found = allocate(layers, budget)
    taken = [options[n] for options, n in zip(layers, found.choice, strict=True)]
    assert found.cost == found.bound == min(fitting)
    assert (found.size, found.cost) == (sum(it.size for it in taken), sum(it.cost for it in taken))
    assert found.size <= budget


@settings(deadline=None)
@given(LAYERS, st.integers(0, 160), st.integers(1, 3))
def test_with_few_states_the_gap_is_honest(layers, budget, most_states):
    fitting = [cost for size, cost in every_choice(layers) if size <= budget]
    if fitting:
        found = allocate(layers, budget, most_states)
        assert found.bound <= min(fitting) + 1e-9
        assert min(fitting) <= found.cost
        assert found.size <= budget


@settings(deadline=None)
@given(LAYERS, st.lists(st.integers(0, 200), min_size=2, max_size=5))
def test_a_larger_budget_never_costs_more(layers, budgets):
    least = min(size for size, _ in every_choice(layers))
    costs = [allocate(layers, least + budget).cost for budget in sorted(budgets)]
    assert costs == sorted(costs, reverse=True)


@settings(deadline=None)
@given(LAYERS)
def test_no_choice_is_under_the_frontier(layers):
    points = frontier(layers)
    choices = list(every_choice(layers))
    choice = list(smallest_choice(layers))
    for step, point in zip([None, *climb(layers)], points, strict=True):
        if step is not None:
            choice[step.layer] = step.option
        taken = [options[n] for options, n in zip(layers, choice, strict=True)]
        assert sum(it.size for it in taken) == point.size
        assert sum(it.cost for it in taken) == pytest.approx(point.cost)
        best = min(cost for size, cost in choices if size <= point.size)
        assert point.cost == pytest.approx(best, abs=1e-9)


def test_a_model_of_seventy_billion_weights_is_quick():
    layers = [
        [
            Option(1000 * width * (bits * group + 32) // group, (1 + at % 7) * 4.0**-bits * group)
            for bits in (2, 3, 4, 5, 6, 8)
            for group in (32, 64, 128)
        ]
        for at, width in enumerate((4096, 1024, 1024, 4096, 14336, 14336, 14336) * 80)
    ]
    smallest = sum(min(it.size for it in options) for options in layers)
    found = allocate(layers, smallest * 17 // 10)
    assert found.gap <= 1e-6 * found.cost
