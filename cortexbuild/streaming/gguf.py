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
from math import prod
from pathlib import Path
from typing import BinaryIO

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
    """Rows of a tensor as they come, (count, bytes of a row); `last` is the end of the tensor."""

    tensor: GgufTensor
    rows: NDArray[np.uint8]
    last: bool


def plan_layout(outline: Path, mixture: str) -> Layout:
    """What the quantizer would make of a GGUF file, of which only the header need be there."""
    return Layout(mixture, planned_types(outline, mixture))


def write_files(
    outline: Path,
    files: Sequence[tuple[Layout, Path]],
    read: Callable[[str], NDArray[np.uint8]],
    progress: Progress,
) -> None:
    """Write a file for each layout. `read` gives the bytes of a tensor of `outline` by its name:
    it is asked for each of them once, by a thread of its own, one ahead of what is packed.

    Raises ToolError for weights that are no numbers, and for such as are packed already.
    """
    tensors = {tensor.name: tensor for tensor in read_header(outline).tensors}
    order = [tensors[name] for name in files[0][0].types]
    done, total = 0, sum(tensor.nbytes for tensor in order)
    threads = os.cpu_count() or 1

    def packed(piece: _Piece) -> tuple[_Piece, Mapping[str, NDArray[np.uint8]]]:
        kinds = dict.fromkeys(layout.types[piece.tensor.name] for layout, _ in files)
        return piece, _packed(piece, tuple(kinds))

    with ExitStack() as opened:
        outs = [opened.enter_context(path.open("wb")) for _, path in files]
        for (layout, _), out in zip(files, outs, strict=True):
            number = _FILE_TYPES[f"MOSTLY_{layout.mixture}"]
            out.write(packed_header(outline, layout.types, number))
        pieces = opened.enter_context(closing(_pieces(order, read)))
        answers = ask_ahead(packed, pieces, threads, waiting=threads)
        for piece, found in opened.enter_context(closing(answers)):
            for (layout, _), out in zip(files, outs, strict=True):
                out.write(found[layout.types[piece.tensor.name]].data)
                if piece.last:
                    _pad(out)
            progress(done := done + piece.rows.nbytes, total)


def _pieces(
    order: Sequence[GgufTensor], read: Callable[[str], NDArray[np.uint8]]
) -> Generator[_Piece, None, None]:
    def content(tensor: GgufTensor) -> tuple[GgufTensor, NDArray[np.uint8]]:
        return tensor, read(tensor.name)

    with closing(ask_ahead(content, order, 1)) as contents:
        for tensor, octets in contents:
            count = prod(tensor.shape[1:])
            rows, step = octets.reshape(count, -1), max(1, PIECE // tensor.shape[0])
            for start in range(0, count, step):
                yield _Piece(tensor, rows[start : start + step], start + step >= count)


def _packed(piece: _Piece, kinds: Sequence[str]) -> Mapping[str, NDArray[np.uint8]]:
    """The rows in each of these types."""
    own = piece.tensor.type
    try:
        check_numbers(piece.rows, own)
        found = {own: piece.rows}
        if wanted := [kind for kind in kinds if kind != own]:
            numbers = _numbers(piece.rows, own)
        for kind in wanted:
            found[kind] = pack(numbers, kind)
            check_numbers(found[kind], kind)
    except ToolError as error:
        raise ToolError(f"`{piece.tensor.name}`: {error}", hint=error.hint) from error
    return found


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
