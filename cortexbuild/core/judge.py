"""Whether measures are good enough. Pure and instant, so a limit may change at no cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .limits import Limits

WORDS: Mapping[str, tuple[str, str]] = {
    "max_kl": ("kl", "KL divergence"),
    "max_kl_p99": ("kl_p99", "99th percentile of the KL divergence"),
    "min_top1": ("top1", "top-1 agreement"),
    "max_ppl_ratio": ("ppl_ratio", "perplexity over the source's"),
    "max_logit_error": ("logit_error", "largest error of a score"),
    "min_tokens_per_second": ("tokens_per_second", "tokens per second"),
    "max_memory": ("memory_bytes", "peak memory in bytes"),
}
"""What each limit looks at: its name in measures.json, and what it is called."""


def judge(measures: Mapping[str, Any], limits: Limits) -> tuple[str, ...]:
    """What is wrong with a built model, in words; empty when nothing is."""
    return (*_broken(measures), *_beyond(measures, limits))


def _broken(measures: Mapping[str, Any]) -> tuple[str, ...]:
    """What no limit allows: numbers that are none, other tokens than the source's."""
    wrong = []
    if count := measures.get("nonfinite_weights"):
        first = measures.get("nonfinite_first", "")
        wrong.append(f"{count} of its weights are NaN or infinite, the first in `{first}`")
    if count := measures.get("nonfinite_logits"):
        wrong.append(f"{count} of its scores are NaN or infinite")
    tokenizer = measures.get("tokenizer", {})
    if (first := tokenizer.get("first_difference")) is not None:
        wrong.append(f"its tokenizer differs from the source's, first at token {first}")
    if (added := tokenizer.get("added_token")) is not None:
        wrong.append(f"its tokenizer reads the added token `{added}` otherwise than the source's")
    if tokenizer.get("same_chat") is False:
        wrong.append("its chat template writes another prompt than the source's")
    return tuple(wrong)


def _beyond(measures: Mapping[str, Any], limits: Limits) -> tuple[str, ...]:
    wrong = []
    for name, limit in limits.model_dump(exclude_none=True).items():
        measure, called = WORDS[name]
        found = measures.get(measure)
        if not isinstance(found, int | float) or not math.isfinite(found):
            wrong.append(f"{called} could not be measured, and `{name}` is {_shown(limit)}")
        elif found > limit if name.startswith("max") else found < limit:
            wrong.append(f"{called} is {_shown(found)}, and `{name}` is {_shown(limit)}")
    return tuple(wrong)


def _shown(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.4g}"
