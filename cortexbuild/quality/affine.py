"""Round a matrix to few bits so that what it computes stays the same, not its numbers.

Groups of `group` weights in a row share a scale and a bias: weight = code * scale + bias, code
from 0 to 2**bits - 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Narrow: TypeAlias = Callable[[Array], Array]
"""Rounds to the numbers that scales and biases are kept in."""

SHRINKS = (1.0, 0.9, 0.8, 0.7, 0.6)
FEW_SHRINKS = (1.0, 0.85, 0.7)
"""How much of the range of a group the codes may cover: what is outside of it is cut off. More of
them gained nothing that could be measured; the few are good enough for an estimate."""

REFITS = 2
DAMPING = 0.01
"""Of the mean of a Hessian's diagonal, added to it, since calibration has seen so little."""

BLOCK = 128
"""Columns whose errors are carried on to the others together."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A rounded matrix: codes (rows, columns), scales and biases (rows, groups)."""

    codes: NDArray[np.uint8]
    scales: Array
    biases: Array

    def numbers(self) -> NDArray[np.float32]:
        """What it stands for, (rows, columns)."""
        rows, groups = self.scales.shape
        codes = self.codes.reshape(rows, groups, -1).astype(np.float32)
        scaled = codes * self.scales[..., None] + self.biases[..., None]
        return scaled.reshape(rows, -1).astype(np.float32)


def search_grid(
    groups: Array, importance: Array, bits: int, narrow: Narrow, shrinks: Sequence[float] = SHRINKS
) -> tuple[Array, Array]:
    """The scale and bias, (…, 1), of each group (…, group) that lose least.

    The squared errors are weighted with `importance`, of a shape that broadcasts to the groups'.
    Ranges from all of a group's down to half of it are tried, each refitted by least squares to
    the codes that it leads to.
    """
    top = 2**bits - 1
    groups = groups.astype(np.float32)
    weights = np.broadcast_to(importance / importance.mean(), groups.shape).astype(np.float32)
    weights = (weights + _TINY) / (weights + _TINY).sum(-1, keepdims=True)
    center = (weights * groups).sum(-1, keepdims=True)
    low, high = groups.min(-1, keepdims=True), groups.max(-1, keepdims=True)
    best = [np.full_like(center, np.inf), center, center]
    for shrink in shrinks:
        scale, bias = (high - low) * (shrink / top), center + (low - center) * shrink
        for _ in range(REFITS + 1):
            scale, bias = narrow(_nonzero(scale)), narrow(bias)
            codes = nearest(groups, scale, bias, top)
            error = (weights * (groups - codes * scale - bias) ** 2).sum(-1, keepdims=True)
            better = error < best[0]
            found = (error, scale, bias)
            best = [np.where(better, a, b) for a, b in zip(found, best, strict=True)]
            mean = (weights * codes).sum(-1, keepdims=True)
            spread = (weights * (codes - mean) ** 2).sum(-1, keepdims=True)
            slope = (weights * (codes - mean) * (groups - center)).sum(-1, keepdims=True)
            scale = np.where(spread > _TINY, slope / np.maximum(spread, _TINY), scale)
            bias = center - scale * mean
    return best[1], best[2]


def round_alone(
    weights: Array, importance: Array, bits: int, group: int, narrow: Narrow,
    shrinks: Sequence[float] = SHRINKS,
) -> Coded:  # fmt: skip
    """Round each weight to the nearest code of the best grid. `importance` is of the columns."""
    rows, columns = weights.shape
    grouped = weights.reshape(rows, -1, group)
    scales, biases = search_grid(grouped, importance.reshape(-1, group), bits, narrow, shrinks)
    codes = nearest(grouped, scales, biases, 2**bits - 1)
    return Coded(
        codes.reshape(rows, columns).astype(np.uint8), scales[..., 0], biases[..., 0]
    )  # fmt: skip


def round_together(weights: Array, hessian: Array, bits: int, group: int, narrow: Narrow) -> Coded:
    """Round column after column, and let those that follow make up for the error of each.

    `hessian` (columns, columns) is the second moment of what the matrix is multiplied with. This
    is GPTQ (https://arxiv.org/abs/2210.17323), with the grid of a group searched when it is
    reached.
    """
    rows, columns = weights.shape
    top = 2**bits - 1
    factor = _inverse_factor(hessian)
    diagonal = np.diag(hessian).astype(np.float32)
    rest = weights.astype(np.float64)
    codes = np.zeros((rows, columns), np.uint8)
    scales, biases = np.zeros((2, rows, columns // group))
    block = max(group, BLOCK)
    for start in range(0, columns, block):
        end = min(start + block, columns)
        errors = np.zeros((rows, end - start))
        for at in range(start, end):
            place = at // group
            if at % group == 0:
                ahead = slice(at, at + group)
                found = search_grid(rest[:, ahead], diagonal[ahead], bits, narrow)
                scales[:, place], biases[:, place] = (part[:, 0] for part in found)
            scale, bias = scales[:, place], biases[:, place]
            code = nearest(rest[:, at], scale, bias, top)
            codes[:, at] = code
            error = (rest[:, at] - code * scale - bias) / factor[at, at]
            errors[:, at - start] = error
            rest[:, at + 1 : end] -= np.outer(error, factor[at, at + 1 : end])
        rest[:, end:] -= errors @ factor[start:end, end:]
    return Coded(codes, scales, biases)


def nearest(weights: Array, scale: Array, bias: Array, top: int) -> Array:
    """The code, as a float, of each weight in a grid that broadcasts to it."""
    codes: Array = np.clip(np.rint((weights - bias) / scale), 0, top)
    return codes


_TINY = 1e-12


def _nonzero(scale: Array) -> Array:
    return np.where(np.abs(scale) < 1e-8, 1e-8, scale)


def _inverse_factor(hessian: Array) -> Array:
    """The upper triangular U of inverse(hessian) = U^T U, after damping."""
    wide = hessian.astype(np.float64)
    diagonal = np.diag(wide).copy()
    mean = float(diagonal.mean()) or 1.0
    wide = wide + np.diag(np.full(len(wide), DAMPING * mean))
    inverse = np.linalg.inv(wide)
    upper: Array = np.linalg.cholesky((inverse + inverse.T) / 2).T
    return upper
