"""How far the predictions of one model are from another's, token by token.

All sums are in 64 bits. Scores are the raw ones of a model: of what follows each token, for
every token of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .kept import Kept, few_rows, log_sum_exp

TINY = 1e-12
"""Probability that is taken for none: of the tokens that were not kept, by rounding."""


@dataclass(slots=True)
class Divergence:
    """Collects windows of scores, and tells what they say together."""

    divergences: list[NDArray[np.float64]] = field(default_factory=list)
    losses: list[NDArray[np.float64]] = field(default_factory=list)
    source_losses: list[NDArray[np.float64]] = field(default_factory=list)
    agreed: int = 0
    largest: float = 0.0
    nonfinite: int = 0

    def add(self, source: Kept, scores: NDArray[np.float32], following: Sequence[int]) -> None:
        """Scores of shape (tokens, vocabulary) beside those of the source for the same tokens;
        `following` are the tokens that really come next."""
        for rows in few_rows(len(scores)):
            self._add(source[rows], scores[rows], following[rows])

    def _add(self, source: Kept, scores: NDArray[np.float32], following: Sequence[int]) -> None:
        rows = np.arange(len(scores))
        wide = scores.astype(np.float64)
        self.nonfinite += int(wide.size - np.count_nonzero(np.isfinite(wide)))
        logprobs = wide - log_sum_exp(wide)[:, None]
        self.losses.append(-logprobs[rows, following])
        self.source_losses.append(source.losses)
        if source.ids is None:
            beside, kept = logprobs, wide
        else:
            beside = np.take_along_axis(logprobs, source.ids, 1)
            kept = np.take_along_axis(wide, source.ids, 1)
        self.divergences.append(_divergence(source, beside))
        self.agreed += int(np.count_nonzero(wide.argmax(-1) == source.best))
        self.largest = max(self.largest, float(np.abs(kept - source.scores).max()))

    def measures(self) -> Mapping[str, float | int | None]:
        """The numbers that limits are about (`core/limits.py`); None where one is not finite."""
        each = np.concatenate(self.divergences)
        loss = float(np.concatenate(self.losses).mean())
        source = float(np.concatenate(self.source_losses).mean())
        with np.errstate(over="ignore"):
            found = {
                "kl": float(each.mean()),
                "kl_p99": float(np.quantile(each, 0.99)),
                "top1": self.agreed / len(each),
                "loss": loss,
                "perplexity": float(np.exp(loss)),
                "source_perplexity": float(np.exp(source)),
                "ppl_ratio": float(np.exp(loss - source)),
                "logit_error": self.largest,
            }
        rounded = {name: rounded_to(value) for name, value in found.items()}
        return {"predictions": len(each), "nonfinite_logits": self.nonfinite, **rounded}


def _divergence(source: Kept, beside: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kullback-Leibler divergence per token, in nats, of the source's predictions from these.

    Where only the likeliest tokens were kept, all others count as one, so what is told is never
    more than the divergence over all of them (the data processing inequality; Cover and Thomas,
    Elements of Information Theory, 2.8).
    """
    before = source.scores.astype(np.float64) - source.total[:, None]
    chances = np.exp(before)
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = (chances * (before - beside)).sum(-1)
        if source.ids is not None:
            rest = np.maximum(1 - chances.sum(-1), TINY)
            other = np.maximum(1 - np.exp(beside).sum(-1), TINY)
            found += rest * np.log(rest / other)
    return np.where(found < 0, 0, found)  # below zero only by rounding; NaN stays NaN


def rounded_to(value: float, digits: int = 7) -> float | None:
    """To so many significant digits; None for what is no number."""
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None
