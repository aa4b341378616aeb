"""Write the tensors of a model piece by piece: what is kept in memory is the piece at hand."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...core.ports import Output, Progress, Writable
from ..mapping import let_go
from ..rounding import Rounding, in_pieces
from .header import write_header
from .shards import Shard, entry_bytes, index_text
from .tensors import FLOATS, NUMPY_TYPES

INDEX = "model.safetensors.index.json"
ASIDE = 16 << 20
"""Bytes of a tensor whose turn has not come that are kept in memory, and not on the disk."""


@dataclass(slots=True)
class _Tensor:
    """One on its way: `came` of its bytes were given, and lie `aside` if its turn has not come."""

    dtype: str
    size: int
    came: int = 0
    aside: SpooledTemporaryFile[bytes] | None = None


class SafetensorsWriter:
    """New files whose tensors are known before their numbers are, so that headers come first.

    Each tensor may come in pieces along its first axis: the experts of a stack, the rows of a
    large matrix. Files are written from their beginning to their end, so tensors should come about
    in the order of the shards; those of one module may come side by side. A tensor that is not
    complete at the end is a bug of the caller.

    `metadata` is that of each file, and `progress` is told of bytes written. Several files get an
    index, and with `totals`, which are numbers for it, one does, too. `rounding` knows what was
    lost on the way.
    """

    def __init__(
        self,
        output: Output,
        shards: Sequence[Shard],
        metadata: dict[str, str],
        progress: Progress,
        *,
        totals: Mapping[str, int] | None = None,
    ) -> None:
        self._output, self._shards, self._totals = output, shards, totals
        self._metadata, self._progress = metadata, progress
        self._missing = [shard for shard in shards if not output.has(shard.name)]
        entries = [entry for shard in self._missing for entry in shard.entries]
        self._tensors = {entry[0]: _Tensor(entry[1], entry_bytes(entry)) for entry in entries}
        self._size = sum(shard.size for shard in shards)
        self._written = self._size - sum(shard.size for shard in self._missing)
        self._turn: tuple[_Tensor, Writable] | None = None
        self._turns = self._take_turns()
        self._asides = ExitStack()
        self.rounding = Rounding()

    def has(self, name: str) -> bool:
        """Whether a tensor is in a file that an earlier run finished; what is given of it is not
        looked at."""
        return name not in self._tensors

    def append(self, name: str, numbers: NDArray[Any]) -> None:
        """The next numbers of a tensor, rounded to its dtype where they are of another float type.

        uint16 stands for bfloat16, which numpy does not have. Raises ToolError when a number is
        too large for the dtype.
        """
        if self.has(name):
            return
        dtype, flat = self._tensors[name].dtype, numbers.reshape(-1)
        for piece in in_pieces(flat.size, 1):
            found = flat[piece]
            if flat.dtype != NUMPY_TYPES[dtype]:
                found = self.rounding.cast(name, found, FLOATS[dtype])
            elif dtype in FLOATS:
                self.rounding.keep(found)
            self.append_bytes(name, np.ascontiguousarray(found).view(np.uint8).data)
            let_go()  # of a source that is mapped

    def append_bytes(self, name: str, octets: memoryview) -> None:
        """The next numbers of a tensor, as they are to lie in the file."""
        if self.has(name):
            return
        tensor = self._tensors[name]
        tensor.came += len(octets)
        assert tensor.came <= tensor.size, f"{name} is longer than announced"
        if self._turn is not None and self._turn[0] is tensor:
            self._turn[1].write(octets)
            if tensor.came == tensor.size:
                next(self._turns, None)
        else:
            if tensor.aside is None:
                folder = str(self._output.scratch)
                aside = SpooledTemporaryFile(ASIDE, dir=folder)  # noqa: SIM115
                tensor.aside = self._asides.enter_context(aside)
            tensor.aside.write(octets)
        self._written += len(octets)
        self._progress(self._written, self._size)

    def _take_turns(self) -> Generator[None, None, None]:
        """Goes on to the next tensor that is not complete, and to the next file."""
        for shard in self._missing:
            with self._output.create(shard.name) as file:
                file.write(write_header(shard.entries, self._metadata))
                for name, _, _ in shard.entries:
                    tensor = self._tensors[name]
                    if tensor.aside is not None:
                        tensor.aside.seek(0)
                        shutil.copyfileobj(tensor.aside, file)
                        tensor.aside.close()
                    if tensor.came < tensor.size:
                        self._turn = tensor, file
                        yield
            self._turn = None

    def __enter__(self) -> Self:
        next(self._turns, None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._asides:
            self._turns.close()
            if kind is not None:
                return
            short = [name for name, tensor in self._tensors.items() if tensor.came < tensor.size]
            assert not short, (short[0], "is shorter than announced")
        if len(self._shards) > 1 or self._totals is not None:
            with self._output.create(INDEX) as file:
                file.write(index_text(self._shards, self._totals or {}).encode())
