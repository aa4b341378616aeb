"""The choice of a token means what `Sampling` says, and what it means in mlx-lm."""

from __future__ import annotations

from collections import Counter

import numpy as np

from cortexbuild.core.ports import Sampling
from cortexbuild.runtimes.sampling import choose

LOGITS = np.log(np.array([0.5, 0.3, 0.15, 0.04, 0.01], np.float32))


def chosen(count: int = 400, tokens=(), **settings) -> Counter[int]:
    random, sampling = np.random.default_rng(7), Sampling(**{"temperature": 1.0, **settings})
    return Counter(choose(LOGITS, tokens, sampling, random) for _ in range(count))


def test_zero_is_greedy_and_one_is_the_model_itself():
    assert chosen(temperature=0.0) == {0: 400}
    found = chosen(20_000)
    for token, chance in enumerate((0.5, 0.3, 0.15, 0.04, 0.01)):
        assert abs(found[token] / 20_000 - chance) < 0.02


def test_top_k_keeps_so_many():
    assert set(chosen(top_k=1)) == {0}
    assert set(chosen(top_k=2)) == {0, 1}
    assert set(chosen(4000, top_k=9)) == {0, 1, 2, 3, 4}


def test_of_equal_ones_the_first_is_kept_as_the_greedy_choice_has_it():
    same = np.zeros(4, np.float32)
    for how in ({"temperature": 0.0}, {"top_k": 1}, {"top_p": 1e-9}):
        sampling = Sampling(**{"temperature": 1.5, **how})
        assert choose(same, (), sampling, np.random.default_rng(1)) == 0, how


def test_top_p_keeps_the_fewest_that_have_more_than_it():
    assert set(chosen(top_p=1e-9)) == {0}
    assert set(chosen(top_p=0.49)) == {0}
    assert set(chosen(top_p=0.79)) == {0, 1}
    assert set(chosen(top_p=0.81)) == {0, 1, 2}
    assert set(chosen(4000, top_p=0.98)) == {0, 1, 2, 3}


def test_heat_comes_after_the_choice_of_candidates():
    assert set(chosen(top_p=0.79, temperature=50.0)) == {0, 1}
    even = chosen(4000, top_p=0.79, temperature=50.0)
    assert abs(even[0] - even[1]) < 200


def test_what_was_just_said_is_penalized_for_twenty_tokens():
    greedy = {"temperature": 0.0, "repetition_penalty": 3.0}
    assert set(chosen(1, tokens=[0], **greedy)) == {1}
    assert set(chosen(1, tokens=[0, 0, 1], **greedy)) == {2}
    assert set(chosen(1, tokens=[0, *[3] * 20], **greedy)) == {0}


def test_a_large_vocabulary_is_cut_where_sorting_all_of_it_would_cut():
    random = np.random.default_rng(1)
    logits = random.normal(0, 3, 50_000).astype(np.float32)
    chances = np.exp(logits.astype(np.float64))
    order = np.argsort(-chances)
    share = np.cumsum(chances[order] / chances.sum())
    allowed = set(order[: int(np.searchsorted(share, 0.9)) + 1].tolist())
    sampling = Sampling(temperature=1.0, top_p=0.9)
    got = {choose(logits, (), sampling, random) for _ in range(500)}
    assert got <= allowed and len(got) > 100
