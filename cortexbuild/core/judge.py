"""Whether measures are good enough. Pure and instant, so a limit may change at no cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def judge(measures: Mapping[str, Any]) -> tuple[str, ...]:
    """What is wrong with a built model, in words; empty when nothing is."""
    wrong = []
    if count := measures.get("nonfinite_logits"):
        wrong.append(f"{count} of its scores are NaN or infinite")
    tokenizer = measures.get("tokenizer", {})
    if (first := tokenizer.get("first_difference")) is not None:
        wrong.append(f"its tokenizer differs from the source's, first at token {first}")
    return tuple(wrong)
