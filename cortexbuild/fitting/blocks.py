"""Run a model of mlx-lm block by block on a text, and see what its matrices are multiplied with.

What is in memory is one block in float32 and what goes in and out of it, and not the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import mlx.core as mx
    import mlx.nn as nn

Seen = Callable[["nn.Module", "mx.array"], None]
"""Told of a matrix, and what it is multiplied with: (…, columns)."""


@dataclass(slots=True)
class Blocks:
    """The blocks of a model, and for each window of text what goes into the next one.

    `states` are (1, tokens, hidden). All windows have the same length, so the masks that the
    model gave to its blocks for the first are good for all.
    """

    model: Any
    windows: Sequence[Sequence[int]]
    blocks: list[Any]
    calls: list[tuple[Any, Any]]
    states: list[Any]

    def forward(self, block: int, seen: Seen) -> list[Any]:
        """What comes out of a block, for what is in `states`. `seen` is told of its matrices."""
        import mlx.core as mx

        args, kwargs = self.calls[block]
        outputs = []
        with watching(seen):
            for state in self.states:
                outputs.append(self.blocks[block](state, *args, **kwargs))
                mx.eval(outputs[-1])
        return outputs

    def look_behind(self, seen: Seen) -> None:
        """Call what comes after the last block, but compute nothing that nobody asks for."""
        import mlx.core as mx

        for window, state in zip(self.windows, self.states, strict=True):
            stand_ins = [_Through(block) for block in self.blocks]
            stand_ins[-1].answer = state
            with _in_place_of(self.model, stand_ins), watching(seen):
                self.model(mx.array([list(window)]))


def begin(model: Any, windows: Sequence[Sequence[int]]) -> Blocks:
    """Run what comes before the first block. The blocks themselves are not run."""
    import mlx.core as mx

    blocks = list(model.layers)
    states: list[Any] = []
    calls: list[tuple[Any, Any]] = []
    for window in windows:
        stand_ins = [_Through(block) for block in blocks]
        with _in_place_of(model, stand_ins):
            model(mx.array([list(window)]))
        states.append(stand_ins[0].state.astype(mx.float32))
        mx.eval(states[-1])
        calls = calls or [(it.args, it.kwargs) for it in stand_ins]
    return Blocks(model, windows, blocks, calls, states)


class _Through:
    """In place of a block: keeps what it is called with, and gives it back unchanged.

    Models ask their blocks which mask they want, so all else is the block's.
    """

    def __init__(self, block: Any) -> None:
        self._block = block
        self.state: Any = None
        self.args: Any = ()
        self.kwargs: Any = {}
        self.answer: Any = None

    def __call__(self, state: Any, *args: Any, **kwargs: Any) -> Any:
        self.state, self.args, self.kwargs = state, args, kwargs
        return state if self.answer is None else self.answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._block, name)


@contextmanager
def _in_place_of(model: Any, stand_ins: list[_Through]) -> Iterator[None]:
    layers = model.layers
    blocks = list(layers)
    layers[:] = stand_ins
    try:
        yield
    finally:
        layers[:] = blocks


@contextmanager
def watching(seen: Seen) -> Iterator[None]:
    """Tell `seen` of each use of a matrix as long as this lasts; an embedding's as output layer."""
    import mlx.core as mx
    import mlx.nn as nn

    linear, as_linear = nn.Linear.__call__, nn.Embedding.as_linear
    product = _by_numpy if mx.default_device() == mx.cpu else linear

    def watched(self: nn.Module, x: mx.array) -> mx.array:
        seen(self, x)
        return product(self, x)

    def watched_as_linear(self: nn.Module, x: mx.array) -> mx.array:
        seen(self, x)
        found: mx.array = as_linear(self, x)
        return found

    nn.Linear.__call__, nn.Embedding.as_linear = watched, watched_as_linear
    try:
        yield
    finally:
        nn.Linear.__call__, nn.Embedding.as_linear = linear, as_linear


def _by_numpy(layer: nn.Module, x: mx.array) -> mx.array:
    """The same product, in float32: on a CPU, MLX's takes twenty times as long."""
    import mlx.core as mx
    import numpy as np

    flat = np.array(x.astype(mx.float32)).reshape(-1, x.shape[-1])
    weight = np.array(layer.weight.astype(mx.float32))
    found: mx.array = mx.array((flat @ weight.T).reshape(*x.shape[:-1], -1)).astype(x.dtype)
    if "bias" in layer:
        found = found + layer.bias
    return found
