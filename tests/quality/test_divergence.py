"""How far one model's predictions are from another's, by definition and in 64 bits."""

from __future__ import annotations

import numpy as np
import pytest

from cortexbuild.quality import kept as kept_scores
from cortexbuild.quality.divergence import Divergence
from cortexbuild.quality.kept import keep, windows

TOKENS = list(np.random.default_rng(7).integers(0, 50, 41))


def scores_of(seed, size=50):
    table = np.random.default_rng(seed).normal(0, 3, (size, size)).astype(np.float32)
    return lambda tokens: table[np.asarray(tokens)]


def compared(folder, other):
    divergence = Divergence()
    for tokens, following, kept in windows(folder):
        divergence.add(kept, other(tokens), following)
    return divergence.measures()


def by_definition(one, other):
    """In plain numpy, over all 40 predictions at once."""
    before, after = (
        scores - np.log(np.exp(scores).sum(-1, keepdims=True))
        for scores in (model(TOKENS[:-1]).astype(np.float64) for model in (one, other))
    )
    each = (np.exp(before) * (before - after)).sum(-1)
    rows = np.arange(40)
    losses = [-x[rows, TOKENS[1:]].mean() for x in (before, after)]
    return {
        "kl": each.mean(),
        "kl_p99": np.quantile(each, 0.99),
        "top1": np.mean(before.argmax(-1) == after.argmax(-1)),
        "loss": losses[1],
        "perplexity": np.exp(losses[1]),
        "source_perplexity": np.exp(losses[0]),
        "ppl_ratio": np.exp(losses[1] - losses[0]),
        "logit_error": np.abs(one(TOKENS[:-1]) - other(TOKENS[:-1])).max(),
    }


@pytest.mark.parametrize("window", [7, 16, 40, 99])
def test_the_numbers_are_those_of_the_definition_whatever_the_window(tmp_path, window):
    one, other = scores_of(1), scores_of(2)
    assert list(keep(tmp_path, TOKENS, window, one))[-1] == 40
    found = compared(tmp_path, other)
    assert (found["predictions"], found["nonfinite_logits"]) == (40, 0)
    for name, value in by_definition(one, other).items():
        assert found[name] == pytest.approx(value, rel=1e-6), name


def test_a_model_does_not_differ_from_itself(tmp_path):
    one = scores_of(1)
    list(keep(tmp_path, TOKENS, 16, one))
    found = compared(tmp_path, one)
    assert (found["kl"], found["top1"], found["ppl_ratio"], found["logit_error"]) == (0, 1, 1, 0)


def test_of_a_large_vocabulary_the_likeliest_are_kept_and_the_rest_counts_as_one(
    tmp_path, monkeypatch
):
    one, other = scores_of(1), scores_of(2)
    whole = by_definition(one, other)
    for most, share in ((40, 0.99), (10, 0.75)):
        monkeypatch.setattr(kept_scores, "MOST_KEPT", most)
        folder = tmp_path / str(most)
        folder.mkdir()
        list(keep(folder, TOKENS, 16, one))
        assert np.load(folder / "scores.npy").shape == (40, most)
        found = compared(folder, other)
        assert share * whole["kl"] < found["kl"] <= whole["kl"] * (1 + 1e-6)
        for name in ("top1", "perplexity", "source_perplexity"):
            assert found[name] == pytest.approx(whole[name], rel=1e-6)
        near = compared(folder, lambda tokens: one(tokens) + np.float32(1))
        assert near["kl"] == pytest.approx(0, abs=1e-6), "the same predictions, all scores higher"


def test_what_is_no_number_is_counted_and_never_told_as_one(tmp_path):
    one = scores_of(1)
    list(keep(tmp_path, TOKENS, 16, one))

    def broken(tokens):
        scores = one(tokens).copy()
        scores[0, 3] = np.nan
        return scores

    found = compared(tmp_path, broken)
    assert found["nonfinite_logits"] == 3 and found["kl"] is None and found["perplexity"] is None
