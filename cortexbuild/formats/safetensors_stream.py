"""Write a safetensors file piece by piece: what is kept in memory is the piece at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .rounding import Rounding, in_pieces
from .safetensors import DTYPE_BITS, tensor_bytes, write_header
from .safetensors_tensors import FLOATS, NUMPY_TYPES

Entry = tuple[str, str, tuple[int, ...]]
"""Name, dtype, shape."""


@dataclass(slots=True)
class _Room:
    dtype: str
    reached: int
    end: int


class SafetensorsWriter:
    """A new file whose tensors are known before their numbers are, so its header comes first.

    Tensors may come in any order, and each in pieces along its first axis: the experts of a
    stack, the rows of a large matrix. A tensor that is not complete at the end is a bug of the
    caller. `metadata` is the file's, and `progress` is told of bytes written.

    `rounding` knows what was lost on the way.
    """

    def __init__(
        self,
        path: Path,
        entries: Sequence[Entry],
        metadata: dict[str, str],
        progress: Callable[[int, int], None],
    ) -> None:
        # Wide types first: then each tensor begins at a multiple of its own width.
        entries = sorted(entries, key=lambda entry: -DTYPE_BITS[entry[1]])
        header = write_header(entries, metadata)
        self._rooms: dict[str, _Room] = {}
        place = len(header)
        for name, dtype, shape in entries:
            end = place + tensor_bytes(dtype, shape, name)
            self._rooms[name] = _Room(dtype, place, end)
            place = end
        self._written, self._size = len(header), place
        self.rounding = Rounding()
        self._progress = progress
        self._stream = path.open("xb")
        self._stream.write(header)

    def append(self, name: str, numbers: NDArray[Any]) -> None:
        """The next numbers of a tensor, rounded to its dtype where they are of another float type.

        uint16 stands for bfloat16, which numpy does not have. Raises ToolError when a number is
        too large for the dtype.
        """
        room, flat = self._rooms[name], numbers.reshape(-1)
        if flat.dtype == NUMPY_TYPES[room.dtype]:
            if room.dtype in FLOATS:
                self.rounding.keep(flat)
            return self._write(room, flat)
        for piece in in_pieces(flat.size, 1):
            self._write(room, self.rounding.cast(name, flat[piece], FLOATS[room.dtype]))
        return None

    def _write(self, room: _Room, piece: NDArray[Any]) -> None:
        assert room.reached + piece.nbytes <= room.end, "a tensor is longer than announced"
        self._stream.seek(room.reached)
        self._stream.write(np.ascontiguousarray(piece).view(np.uint8).data)
        room.reached += piece.nbytes
        self._written += piece.nbytes
        self._progress(self._written, self._size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        if kind is None:
            short = [name for name, room in self._rooms.items() if room.reached < room.end]
            assert not short, (short[0], "is shorter than announced")
