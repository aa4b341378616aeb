"""What each weight of a model of mlx-lm is made of, found out without computing any.

mlx-lm renames, drops, stacks and transforms the weights of a source in `Model.sanitize`, lazily:
nothing is read until it is asked for. So it is let work as ever, and watched. An array that comes
out as it went in is a tensor of a file, and can be read from there some rows at a time; of a stack
of experts the parts are known; and anything else is left to MLX, one tensor at a time.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..formats.safetensors.header import read_header

if TYPE_CHECKING:
    import mlx.core as mx
    import mlx.nn as nn

READABLE = ("BF16", "F16", "F32")


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of a file, its first byte at `start`."""

    path: Path
    start: int
    dtype: str
    shape: tuple[int, ...]


Part: TypeAlias = "Stored | mx.array"
"""Rows that lie in a file, or that MLX has yet to compute."""


@dataclass(slots=True)
class Traced:
    """A model whose weights were not read. `parts` has what each is made of, along its first axis:
    one part of the same shape, or as many as a stack has layers."""

    model: nn.Module
    config: dict[str, Any]
    parts: dict[str, Sequence[Part]]


@dataclass(slots=True)
class _Watch:
    """Arrays by identity, which they keep as long as they are held here."""

    sources: dict[int, Stored] = field(default_factory=dict)
    stacks: dict[int, Sequence[mx.array]] = field(default_factory=dict)
    held: list[Any] = field(default_factory=list)

    def parts(self, array: mx.array) -> Sequence[Part]:
        layers = self.stacks.get(id(array), [array])
        return [self.sources.get(id(layer), layer) for layer in layers]


def trace(source: Path, config: Mapping[str, Any]) -> Traced:
    """Load a model lazily, with additions to its config.json."""
    from mlx.utils import tree_flatten
    from mlx_lm.utils import load_model

    watch = _Watch()
    usual = inspect.signature(load_model).parameters["get_model_classes"].default

    def classes(config: dict[str, Any]) -> tuple[type[Any], type[Any]]:
        model, settings = usual(config)

        class Watched(model):  # type: ignore[misc,valid-type]
            def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
                stored = dict(_stored(source))
                for name, array in weights.items():
                    if name in stored:
                        watch.sources[id(array)] = stored[name]
                watch.held.append(list(weights.values()))
                if not hasattr(model, "sanitize"):
                    return weights
                with _stacks(watch):
                    found: dict[str, mx.array] = super().sanitize(weights)
                return found

        return Watched, settings

    model, found = load_model(
        source, lazy=True, model_config=dict(config), get_model_classes=classes
    )
    weights = dict(tree_flatten(model.parameters()))
    parts = {name: watch.parts(it) for name, it in weights.items()}
    for group in (watch.held, watch.sources, watch.stacks):
        group.clear()  # the class of the model still knows them
    return Traced(model, found, parts)


@contextmanager
def _stacks(watch: _Watch) -> Iterator[None]:
    """While this lasts, remember which arrays were stacked on each other."""
    import mlx.core as mx

    stack = mx.stack

    def watched(arrays: list[mx.array], axis: int | None = 0, **more: Any) -> mx.array:
        made = stack(arrays, axis, **more)
        if axis == 0:
            watch.stacks[id(made)] = list(arrays)
            watch.held.append(made)
        return made

    mx.stack = watched
    try:
        yield
    finally:
        mx.stack = stack


def _stored(source: Path) -> Iterator[tuple[str, Stored]]:
    for path in sorted(source.glob("model*.safetensors")):  # those that mlx-lm reads
        for name, info in read_header(path).tensors.items():
            if info.dtype in READABLE:
                yield name, Stored(path, info.start, info.dtype, info.shape)
