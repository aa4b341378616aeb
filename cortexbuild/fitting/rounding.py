"""Round the matrices of a model of mlx-lm, each for what it gets from those before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..formats.curvature import Curvature
from ..quality.affine import Coded, round_alone, round_together
from .blocks import begin
from .matrices import Matrix, Packing, floats, narrowing

if TYPE_CHECKING:
    import mlx.core as mx
    import mlx.nn as nn


def rounded(
    model: nn.Module,
    taken: Mapping[str, Packing | None],
    found: Sequence[Matrix],
    curvatures: Mapping[str, Curvature],
    windows: Sequence[Sequence[int]],
) -> Iterator[tuple[Matrix, Packing, Coded]]:
    """The matrices that get a packing, rounded, in the order in which the model uses them.

    A block is run to see what its matrices are multiplied with, and again when they are rounded,
    to see what goes into the next one. So each block makes up for what those before it have lost.
    Matrices that are only looked up in are rounded for their curvature.
    """
    by_module = {id(matrix.module): matrix for matrix in found}
    done: set[str] = set()

    def finish(moments: _Moments) -> Iterator[tuple[Matrix, Packing, Coded]]:
        for path, matrix in sorted(moments.matrices.items()):
            done.add(path)
            if packing := taken[path]:
                coded = _round(matrix, packing, curvatures[matrix.tensor], moments.of(path))
                matrix.module.weight = _array(coded.numbers())
                yield matrix, packing, coded

    blocks = begin(model, windows)
    for at, block in enumerate(blocks.blocks):
        _widen(block)
        moments = _Moments(by_module)
        blocks.forward(at, moments.see)
        yield from finish(moments)
        blocks.states = blocks.forward(at, lambda *_: None)
        _empty(block)
    moments = _Moments(by_module)
    blocks.look_behind(moments.see)
    yield from finish(moments)
    only_looked_up = {matrix.path: matrix for matrix in found if matrix.path not in done}
    yield from finish(_Moments(by_module, only_looked_up))


@dataclass(slots=True)
class _Moments:
    """The second moments, (columns, columns), of what matrices are multiplied with.

    Those of one block with the same input, as q, k and v, share that of the first of them.
    """

    by_module: Mapping[int, Matrix]
    matrices: dict[str, Matrix] = field(default_factory=dict)
    _shared: dict[str, str] = field(default_factory=dict)
    _sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    _last: tuple[str, Any] = ("", None)

    def see(self, module: nn.Module, x: mx.array) -> None:
        matrix = self.by_module.get(id(module))
        if matrix is None:
            return
        self.matrices[matrix.path] = matrix
        if x is self._last[1]:
            self._shared[matrix.path] = self._last[0]
            return
        self._last = (matrix.path, x)
        flat = floats(x).reshape(-1, matrix.columns)
        # numpy's product: on a CPU, MLX's takes twenty times as long.
        moment = (flat.T @ flat).astype(np.float64)
        self._sums[matrix.path] = self._sums.get(matrix.path, 0.0) + moment

    def of(self, path: str) -> NDArray[np.float64] | None:
        return self._sums.get(self._shared.get(path, path))


def _round(
    matrix: Matrix, packing: Packing, curvature: Curvature, moment: NDArray[np.float64] | None
) -> Coded:
    weights, narrow = matrix.numbers(), narrowing(matrix.dtype)
    if moment is None:
        columns = curvature.columns()
        return round_alone(weights, columns, packing.bits, packing.group, narrow)
    hessian = curvature.hessian(moment)
    return round_together(weights, hessian, packing.bits, packing.group, narrow)


def _array(numbers: Any) -> mx.array:
    import mlx.core as mx

    return mx.array(numbers)


def _widen(block: Any) -> None:
    import mlx.core as mx
    from mlx.utils import tree_map

    def wide(x: mx.array) -> mx.array:
        return x.astype(mx.float32) if mx.issubdtype(x.dtype, mx.floating) else x

    block.update(tree_map(wide, block.parameters()))


def _empty(block: Any) -> None:
    """Give back the memory of a block's weights."""
    import mlx.core as mx
    from mlx.utils import tree_map

    block.update(tree_map(lambda _: mx.array([]), block.parameters()))
