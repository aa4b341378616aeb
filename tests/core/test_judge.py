from __future__ import annotations

import pytest

from cortexbuild.core.judge import WORDS, judge
from cortexbuild.core.limits import Limits

GOOD = {
    "nonfinite_logits": 0,
    "nonfinite_weights": 0,
    "kl": 0.01,
    "top1": 0.9,
    "tokens_per_second": 20.0,
    "tokenizer": {"first_difference": None, "added_token": None, "same_chat": True},
}
NONE = Limits()


def test_a_sound_model_has_nothing_wrong():
    assert judge(GOOD, NONE) == ()
    assert judge(GOOD, Limits(max_kl=0.01, min_top1=0.9, min_tokens_per_second=20)) == ()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"nonfinite_logits": 7}, "7 of its scores are NaN or infinite"),
        (
            {"nonfinite_weights": 1, "nonfinite_first": "model.norm.weight"},
            "1 of its weights are NaN or infinite, the first in `model.norm.weight`",
        ),
        ({"tokenizer": {"first_difference": 0}}, "first at token 0"),
        ({"tokenizer": {"added_token": "<|im_end|>"}}, "the added token `<|im_end|>`"),
        ({"tokenizer": {"same_chat": False}}, "chat template writes another prompt"),
    ],
)
def test_what_is_broken_is_wrong_without_any_limit(broken, said):
    (wrong,) = judge({**GOOD, **broken}, NONE)
    assert said in wrong


def test_a_limit_that_is_passed_is_told_with_both_numbers():
    assert judge(GOOD, Limits(max_kl=0.005, min_top1=0.95)) == (
        "KL divergence is 0.01, and `max_kl` is 0.005",
        "top-1 agreement is 0.9, and `min_top1` is 0.95",
    )


def test_a_limit_of_what_was_not_measured_is_not_kept():
    for measures in ({}, {"kl": None}, {"kl": float("nan")}):
        (wrong,) = judge(measures, Limits(max_kl=1))
        assert wrong == "KL divergence could not be measured, and `max_kl` is 1"


def test_every_limit_is_looked_at():
    assert set(WORDS) == set(Limits.model_fields)
    everything = {measure: 1.0 for measure, _ in WORDS.values()}
    for name in WORDS:
        limit = 0.5 if name.startswith("max") else 1
        found = everything if name.startswith("max") else {**everything, WORDS[name][0]: 0.9}
        value = 0 if name == "max_memory" else limit
        assert len(judge(found, Limits.model_validate({name: value}))) == 1, name


def test_limits_of_a_target_stand_before_those_for_all():
    both = Limits(max_kl=0.5).over(Limits(max_kl=0.1, min_top1=0.9))
    assert (both.max_kl, both.min_top1) == (0.5, 0.9)
