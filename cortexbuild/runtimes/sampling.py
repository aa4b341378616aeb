"""Choose the next token from the scores of all, the way that `Sampling` says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.ports import Sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PENALIZED = 20
"""How many tokens back a repetition is penalized; mlx-lm's default."""


def choose(
    scores: NDArray[np.float32],
    tokens: Sequence[int],
    sampling: Sampling,
    random: np.random.Generator,
) -> int:
    """The token that follows `tokens`, prompt included. `scores` are raw, one for each token.

    In mlx-lm's order: the penalty, then `top_p` and `top_k` on the distribution at temperature 1,
    then the temperature.
    """
    import numpy as np

    logits = scores.astype(np.float64)
    if sampling.repetition_penalty != 1 and tokens:
        seen = np.unique(np.asarray(tokens[-PENALIZED:]))
        up, down = logits[seen] / sampling.repetition_penalty, sampling.repetition_penalty
        logits[seen] = np.where(logits[seen] < 0, logits[seen] * down, up)
    if sampling.temperature == 0:
        return int(logits.argmax())
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    kept = np.arange(len(chances))
    if sampling.top_p < 1:
        kept = _most_likely(chances, sampling.top_p)
    if 0 < sampling.top_k < len(kept):
        # Of equal ones the first is the likelier, as it is for the greedy choice.
        order = np.argsort(-chances[kept], kind="stable")[: sampling.top_k]
        kept = kept[order[::-1]]
    warm = np.exp((logits[kept] - logits[kept].max()) / sampling.temperature)
    steps = np.cumsum(warm)
    at = np.searchsorted(steps, random.random() * steps[-1], side="right")
    return int(kept[min(int(at), len(kept) - 1)])


def _most_likely(chances: NDArray[np.float64], share: float) -> NDArray[np.intp]:
    """The fewest tokens that together have more than `share` of the chances, at least one."""
    import numpy as np

    # Those that have no more than their part of the rest can only be in the rest: no need to sort.
    candidates: NDArray[Any] = np.flatnonzero(chances > (1 - share) / len(chances))
    order = candidates[np.argsort(-chances[candidates], kind="stable")]
    before = np.cumsum(chances[order]) - chances[order]
    return order[: max(1, int(np.count_nonzero(before < share)))]
