from __future__ import annotations

from cortexbuild.core.judge import judge

GOOD = {"nonfinite_logits": 0, "tokenizer": {"first_difference": None}}


def test_a_sound_model_has_nothing_wrong():
    assert judge(GOOD) == ()


def test_a_nan_is_wrong():
    assert judge({**GOOD, "nonfinite_logits": 7}) == ("7 of its scores are NaN or infinite",)


def test_another_tokenizer_is_wrong_even_from_its_first_token():
    (wrong,) = judge({**GOOD, "tokenizer": {"first_difference": 0}})
    assert "first at token 0" in wrong
