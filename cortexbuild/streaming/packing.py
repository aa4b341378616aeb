"""Weights on their way through MLX: some rows of one tensor at a time, in the order of a file.

Reading, computing and writing overlap. Packing is independent of the number of rows that are
packed together, so what comes out is what MLX gives for whole tensors, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from threading import local
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.ahead import ask_ahead
from ..formats.safetensors.shards import Entry
from ..formats.safetensors.stream import SafetensorsWriter
from ..formats.safetensors.tensors import FLOATS, NUMPY_TYPES
from .tracing import Part, Stored

if TYPE_CHECKING:
    import mlx.core as mx

PIECE = 8 << 20
"""Bytes of a source that are worked on at a time."""
WAITING = 2
"""Pieces that lie ready before they are written, beside those that are worked on."""


@dataclass(frozen=True, slots=True)
class Packing:
    """How a matrix is quantized, in the words of `mlx.core.quantize`."""

    group_size: int
    bits: int
    mode: str


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight of a model that is to be written: as one tensor, or packed in several.

    `parts` are what it consists of along its first axis; `dtype` is what they become before
    anything else, and `entries` are the tensors of the file.
    """

    parts: list[Part]
    dtype: str
    packing: Packing | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    weight: Weight
    part: Part
    rows: slice


def write_weights(weights: Sequence[Weight], out: SafetensorsWriter, workers: int) -> None:
    """Write them in this order, with so many threads that compute. Lets go of their parts."""
    import mlx.core as mx

    limit = mx.set_cache_limit(0)  # MLX keeps what is freed, for arrays of the same size
    streams = local()

    def work(piece: _Piece) -> tuple[Weight, list[NDArray[np.uint8]]]:
        if not hasattr(streams, "own"):  # each thread may use only streams that it made
            streams.own = mx.new_stream(mx.cpu)  # Metal's kernels round otherwise
        with mx.stream(streams.own):
            return piece.weight, _packed(piece)

    try:
        for weight, found in ask_ahead(work, _pieces(weights, out), workers, waiting=WAITING):
            for (name, _, _), octets in zip(weight.entries, found, strict=True):
                out.append_bytes(name, octets.data)
            del found
    finally:
        mx.set_cache_limit(limit)


def _pieces(weights: Sequence[Weight], out: SafetensorsWriter) -> Iterator[_Piece]:
    import mlx.core as mx

    for weight in weights:
        if all(out.has(name) for name, _, _ in weight.entries):
            weight.parts.clear()
        while weight.parts:
            part = weight.parts.pop(0)
            if not isinstance(part, Stored):
                mx.eval(part)  # here, since its arrays belong to the streams of this thread
            yield from (_Piece(weight, part, rows) for rows in _rows(part))
            del part


def _rows(part: Part) -> Iterator[slice]:
    if not part.shape:
        yield slice(None)
        return
    width = max(1, prod(part.shape[1:]) * _width(part))
    step = max(1, PIECE // width)
    for start in range(0, part.shape[0], step):
        yield slice(start, min(part.shape[0], start + step))


def _width(part: Part) -> int:
    return np.dtype(NUMPY_TYPES[part.dtype]).itemsize if isinstance(part, Stored) else part.itemsize


def _packed(piece: _Piece) -> list[NDArray[np.uint8]]:
    """The bytes of each tensor that the rows of a piece become."""
    import mlx.core as mx

    weight, part = piece.weight, piece.part
    if isinstance(part, Stored) and weight.packing is None and part.dtype == weight.dtype:
        return [_read(part, piece.rows)]
    rows = _numbers(part, piece.rows)
    if weight.dtype in FLOATS and rows.dtype != getattr(mx, FLOATS[weight.dtype]):
        rows = rows.astype(getattr(mx, FLOATS[weight.dtype]))
    how = weight.packing
    made: Sequence[Any] = [rows]
    if how is not None:
        made = mx.quantize(rows, how.group_size, how.bits, mode=how.mode)
    made = [mx.contiguous(it) for it in made]
    mx.eval(*made)
    return [np.array(it.reshape(-1).view(mx.uint8), copy=False) for it in made]


def _numbers(part: Part, rows: slice) -> mx.array:
    import mlx.core as mx

    if not isinstance(part, Stored):
        return part[rows] if part.shape else part
    shape = (rows.stop - rows.start, *part.shape[1:]) if part.shape else ()
    numbers = mx.array(_read(part, rows).view(NUMPY_TYPES[part.dtype]).reshape(shape))
    return numbers.view(mx.bfloat16) if part.dtype == "BF16" else numbers


def _read(part: Stored, rows: slice) -> NDArray[np.uint8]:
    width = prod(part.shape[1:]) * _width(part)
    first, last = (rows.start, rows.stop) if part.shape else (0, 1)
    octets = np.empty((last - first) * width, np.uint8)
    with part.path.open("rb", buffering=0) as file:
        file.seek(part.start + first * width)
        left = octets.data
        while left:
            count = file.readinto(left)
            if not count:
                raise EOFError(f"{part.path} is shorter than its header says")
            left = left[count:]
    return octets
