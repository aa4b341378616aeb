"""The scores of a source, kept to compare with what is built from it.

A folder of arrays that are read a window at a time: `tokens.npy` (the text's ids, one more than
there are predictions), `window.npy`, and by prediction `scores.npy`, `total.npy` (the logarithm
of the sum of exponentials, over the whole vocabulary), `losses.npy` and `best.npy`. Of a large
vocabulary `ids.npy` has the tokens that were kept, the likeliest ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOST_KEPT = 4096
"""Scores for each token: 32 KB of a large vocabulary, beyond which almost nothing is likely."""

ROWS = 32

Logits = Callable[[Sequence[int]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Kept:
    """One window. Shapes: `scores` and `ids` (tokens, kept), the others (tokens,).

    `ids` is None where the whole vocabulary was kept.
    """

    ids: NDArray[np.int64] | None
    scores: NDArray[np.float32]
    total: NDArray[np.float64]
    losses: NDArray[np.float64]
    best: NDArray[np.int64]

    def __getitem__(self, rows: slice) -> Kept:
        ids = None if self.ids is None else self.ids[rows]
        return Kept(ids, self.scores[rows], self.total[rows], self.losses[rows], self.best[rows])


def keep(folder: Path, tokens: Sequence[int], window: int, logits: Logits) -> Iterator[int]:
    """Write down what `logits` gives, window by window; yields how many tokens are done.

    `logits` takes token ids and gives scores of shape (ids, vocabulary). The vocabulary is known
    with the first window.
    """
    count = len(tokens) - 1
    np.save(folder / "tokens.npy", np.asarray(tokens, np.int64))
    np.save(folder / "window.npy", np.asarray(window, np.int64))
    files: _Files | None = None
    for start in range(0, count, window):
        part = tokens[start : min(start + window, count)]
        scores = logits(part)
        if files is None:
            files = _Files(folder, count, scores.shape[1])
        for rows in few_rows(len(part)):
            following = tokens[start + rows.start + 1 : start + rows.stop + 1]
            files.put(start + rows.start, scores[rows], following)
        yield start + len(part)


def few_rows(count: int) -> Iterator[slice]:
    """Rows of scores that are worked on together: in 64 bits, 512 of them would be 600 MB for a
    vocabulary of 150 thousand, several times over."""
    for start in range(0, count, ROWS):
        yield slice(start, min(start + ROWS, count))


def windows(folder: Path) -> Iterator[tuple[list[int], list[int], Kept]]:
    """What was kept: the tokens of each window, those that follow them, and the scores."""
    tokens = np.load(folder / "tokens.npy", allow_pickle=False).tolist()
    window = int(np.load(folder / "window.npy", allow_pickle=False))
    kept = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        for name in ("ids", "scores", "total", "losses", "best")
        if (folder / f"{name}.npy").exists()
    }
    for start in range(0, len(tokens) - 1, window):
        end = min(start + window, len(tokens) - 1)
        part = {name: np.array(array[start:end]) for name, array in kept.items()}
        ids = part["ids"].astype(np.int64) if "ids" in part else None
        yield (
            tokens[start:end],
            tokens[start + 1 : end + 1],
            Kept(ids, part["scores"], part["total"], part["losses"], part["best"]),
        )


def log_sum_exp(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of scores of shape (tokens, vocabulary), for each token."""
    highest = scores.max(-1)
    with np.errstate(invalid="ignore", over="ignore"):
        total: NDArray[np.float64] = highest + np.log(np.exp(scores - highest[:, None]).sum(-1))
    return total


class _Files:
    """The arrays, made at their full size and filled."""

    def __init__(self, folder: Path, count: int, vocabulary: int) -> None:
        self._kept = min(vocabulary, MOST_KEPT)
        shapes: dict[str, tuple[type, tuple[int, ...]]] = {
            "scores": (np.float32, (count, self._kept)),
            "total": (np.float64, (count,)),
            "losses": (np.float64, (count,)),
            "best": (np.int64, (count,)),
        }
        if self._kept < vocabulary:
            shapes["ids"] = (np.int32, (count, self._kept))
        self._arrays = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
            for name, (dtype, shape) in shapes.items()
        }

    def put(self, start: int, scores: NDArray[np.float32], following: Sequence[int]) -> None:
        rows, place = np.arange(len(scores)), slice(start, start + len(scores))
        wide = scores.astype(np.float64)
        total = log_sum_exp(wide)
        found = {"scores": scores, "total": total, "best": wide.argmax(-1)}
        found["losses"] = total - wide[rows, following]
        if "ids" in self._arrays:
            # Sorted, so that ties and the way of finding them make no difference.
            ids = np.sort(np.argpartition(-scores, self._kept - 1, -1)[:, : self._kept], -1)
            found |= {"ids": ids, "scores": np.take_along_axis(scores, ids, 1)}
        for name, array in self._arrays.items():
            array[place] = found[name]
            array.flush()
