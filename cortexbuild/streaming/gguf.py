"""GGUF files of several types from the tensors of one model: one pass for all.

Each file is what llama.cpp's quantizer makes of the same tensors, to the last bit, and no file of
16 bits is written for it to read. It is only asked which type each tensor gets; ggml writes the
headers, and its kernels pack some rows at a time on every processor. What two of the files have in
the same type is packed once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.ahead import ask_ahead
from ..core.ports import Progress
from ..errors import REPORT, ToolError
from ..formats.gguf.header import ALIGNMENT, GgufHeader, GgufTensor, read_header
from ..formats.gguf.types import FILE_TYPES
from ..formats.packing.floats import float32_of_bfloat16
from ..runtimes.ggml import check_numbers, pack, packed_header
from ..runtimes.llama_quantizer import planned_types

PIECE = 1 << 19
"""Weights that a processor packs at a time."""

Part: TypeAlias = Callable[[], NDArray[np.uint8]]
"""Computes the bytes of some whole rows."""

Read: TypeAlias = Callable[[str], Sequence[Part]]
"""All of a tensor, by its name. Each can be read once."""

_FILE_TYPES = {kind.name: number for number, kind in FILE_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Layout:
    """The type of each tensor in a file of one mixture, as `Q4_K_M`, in the order of the file."""

    mixture: str
    types: Mapping[str, str]

    def of(self, header: GgufHeader) -> GgufHeader:
        """A header with these types instead of its own."""
        tensors = (replace(it, type=self.types[it.name]) for it in header.tensors)
        return replace(header, tensors=tuple(tensors))


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of a tensor; `last` is the end of it."""

    tensor: GgufTensor
    part: Part
    last: bool


@dataclass(frozen=True, slots=True)
class _Packed:
    """The same in each type; there were `size` bytes of it."""

    piece: _Piece
    kinds: Mapping[str, NDArray[np.uint8]]
    size: int


def plan_layout(outline: Path, mixture: str) -> Layout:
    """What the quantizer would make of a GGUF file, of which only the header need be there."""
    return Layout(mixture, planned_types(outline, mixture))


def write_files(
    outline: Path,
    files: Sequence[tuple[Layout, Path]],
    read: Read,
    progress: Progress,
) -> None:
    """Write a file for each layout. `read` is asked for each tensor of `outline` once, by a thread
    of its own, one ahead of what is packed; its parts are computed where they are packed.

    Raises ToolError for weights that are no numbers, and for such as are packed already.
    """
    tensors = {tensor.name: tensor for tensor in read_header(outline).tensors}
    order = [tensors[name] for name in files[0][0].types]
    done, total = 0, sum(tensor.nbytes for tensor in order)
    threads = os.cpu_count() or 1

    def packed(piece: _Piece) -> _Packed:
        kinds = dict.fromkeys(layout.types[piece.tensor.name] for layout, _ in files)
        return _pack(piece, tuple(kinds))

    with ExitStack() as opened:
        outs = [opened.enter_context(path.open("wb")) for _, path in files]
        for (layout, _), out in zip(files, outs, strict=True):
            number = _FILE_TYPES[f"MOSTLY_{layout.mixture}"]
            out.write(packed_header(outline, layout.types, number))
        pieces = opened.enter_context(closing(_pieces(order, read)))
        answers = ask_ahead(packed, pieces, threads, waiting=threads)
        for found in opened.enter_context(closing(answers)):
            for (layout, _), out in zip(files, outs, strict=True):
                out.write(found.kinds[layout.types[found.piece.tensor.name]].data)
                if found.piece.last:
                    _pad(out)
            progress(done := done + found.size, total)


def in_parts(octets: NDArray[np.uint8], count: int) -> list[Part]:
    """A tensor of so many rows that is there as a whole."""
    rows = octets.reshape(count, -1)
    step = max(1, 2 * PIECE // max(1, rows.shape[1]))
    return [partial(rows.__getitem__, slice(at, at + step)) for at in range(0, count, step)]


def _pieces(order: Sequence[GgufTensor], read: Read) -> Generator[_Piece, None, None]:
    def content(tensor: GgufTensor) -> tuple[GgufTensor, Sequence[Part]]:
        return tensor, read(tensor.name)

    with closing(ask_ahead(content, order, 1)) as contents:
        for tensor, parts in contents:
            for number, part in enumerate(parts, 1):
                yield _Piece(tensor, part, number == len(parts))


def _pack(piece: _Piece, kinds: Sequence[str]) -> _Packed:
    own, rows = piece.tensor.type, piece.part()
    rows = rows.reshape(rows.size * prod(piece.tensor.shape[1:]) // piece.tensor.nbytes, -1)
    try:
        check_numbers(rows, own)
        found = {own: rows}
        if wanted := [kind for kind in kinds if kind != own]:
            numbers = _numbers(rows, own)
        for kind in wanted:
            found[kind] = pack(numbers, kind)
            check_numbers(found[kind], kind)
    except ToolError as error:
        raise ToolError(f"`{piece.tensor.name}`: {error}", hint=error.hint) from error
    return _Packed(piece, found, rows.nbytes)


def _numbers(rows: NDArray[np.uint8], kind: str) -> NDArray[np.float32]:
    if kind == "F32":
        return rows.view("<f4")
    if kind == "F16":
        return rows.view("<f2").astype(np.float32)
    if kind == "BF16":
        return float32_of_bfloat16(rows.view("<u2"))
    raise ToolError(f"it is packed already, as {kind}", hint=REPORT)


def _pad(out: BinaryIO) -> None:
    # By the format's default: the quantizer takes that whatever its source has.
    out.write(bytes(-out.tell() % ALIGNMENT))
