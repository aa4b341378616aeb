"""Merge LoRA adapters into the 16-bit weights they were trained on, some rows at a time.

What PEFT's `merge_and_unload` gives in float32, rounded once to the dtype of the weights; all
that no adapter touches stays as it is, byte for byte. A run that was cut off goes on after the
last file that it finished.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

from pydantic import Field

from ..core.needs import MIB, bounded
from ..core.params import Params
from ..core.ports import Run, Tool, Writable
from ..core.step import Kind
from ..errors import ToolError
from ..formats.files import weights
from ..formats.foreign import shown
from ..formats.listing import local_files
from ..formats.lora import Delta, read_adapter
from ..formats.safetensors.header import TensorInfo, read_header
from ..formats.shards import read_safetensors
from .torch import copy_others, versions

if TYPE_CHECKING:
    import torch

PIECE = 32 * MIB
"""Bytes of the weights that are merged at once, in float32; their sums exist beside them."""
FEWEST_ROWS = 64
"""Of a piece, however wide they are."""

_CHUNK = 4 * MIB
DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}

Scale = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]


class MergeParams(Params):
    """`weights` scale what each adapter adds, in their order; left out, each is 1."""

    weights: Annotated[tuple[Scale, ...], Field(strict=False)] = ()


def merge(run: Run, params: MergeParams) -> None:
    """Its adapters are the inputs `adapter0`, `adapter1` and so on, merged in this order."""
    files = local_files(run.inputs["model"])
    found = weights(files.sizes)
    if found is None or found.format != "safetensors":
        raise ToolError(
            "adapters are merged into safetensors weights, and these are others",
            hint="take the source in safetensors",
        )
    tensors = read_safetensors(files, found).tensors
    roles = adapter_roles(run)
    if not roles:
        raise ToolError(
            "there is no adapter to merge",
            hint="name them in `adapters:`, or choose a recipe without `lora`",
        )
    scales = params.weights or (1.0,) * len(roles)
    if len(scales) != len(roles):
        raise ToolError(
            f"`weights` has {len(scales)} numbers for {len(roles)} adapters",
            hint="give one number for each adapter, or none",
        )
    deltas: dict[str, list[Delta]] = {}
    for role, scale in zip(roles, scales, strict=True):
        for delta in _fitting(run.inputs[role], role, tensors):
            deltas.setdefault(delta.target, []).append(replace(delta, scale=delta.scale * scale))
    copy_others(run, set(found.files))
    for number, path in enumerate(found.files):
        if not run.output.has(path):
            with run.output.create(path) as out:
                _merge_file(run.inputs["model"] / path, deltas, out)
        run.progress(number + 1, len(found.files))


def engine() -> Mapping[str, str]:
    return versions("torch")


def adapter_roles(run: Run) -> Sequence[str]:
    """The roles of a model's adapters, in the order of the manifest."""
    numbers = [int(role[7:]) for role in run.inputs if re.fullmatch(r"adapter\d+", role)]
    return [f"adapter{number}" for number in sorted(numbers)]


def _fitting(folder: Path, role: str, tensors: Mapping[str, TensorInfo]) -> Sequence[Delta]:
    """What an adapter adds, all of it to weights that are there and of its shape."""
    try:
        found = read_adapter(folder)
        for delta in found:
            if delta.target not in tensors:
                raise ToolError(
                    f"{shown(delta.down.name)} is for {shown(delta.target)}, and the model has no "
                    "such weight",
                    hint="is this the model that the adapter was trained on?",
                )
            delta.check(tensors[delta.target])
    except ToolError as error:
        raise ToolError(f"{role}: {error}", hint=error.hint) from error
    return found


def _merge_file(path: Path, deltas: Mapping[str, Sequence[Delta]], out: Writable) -> None:
    """Write a file anew with other weights: their dtypes, sizes and places stay."""
    with path.open("rb") as stream:
        for name, weight in read_header(path).tensors.items():
            if name in deltas:
                _copy(stream, weight.start, out)
                for piece in _merged(stream, weight, deltas[name]):
                    out.write(piece)
        _copy(stream, path.stat().st_size, out)


def _copy(stream: BinaryIO, end: int, out: Writable) -> None:
    """All from where the stream is to the byte `end`."""
    while count := min(end - stream.tell(), _CHUNK):
        out.write(stream.read(count))


def _merged(stream: BinaryIO, weight: TensorInfo, deltas: Sequence[Delta]) -> Iterator[memoryview]:
    """The bytes of a weight with all that is added to it, some rows at a time."""
    import torch

    rows, columns = weight.shape
    factors = [_factors(delta) for delta in deltas]
    # Of one size, and none of few rows: BLAS sums up otherwise where a thread has three or fewer.
    pieces = max(1, min(-(-4 * rows * columns // PIECE), rows // FEWEST_ROWS))
    bounds = [rows * number // pieces for number in range(pieces + 1)]
    stream.seek(weight.start)
    for first, end in pairwise(bounds):
        old = _take(stream, weight, (end - first, columns))
        new = old.float()
        for delta, (down, up) in zip(deltas, factors, strict=True):
            new = new + _added(delta, down, up, slice(first, end))
        merged = new.to(old.dtype)
        if not bool(merged.isfinite().all()):
            raise ToolError(
                f"merged, {shown(weight.name)} has values that are NaN or infinite",
                hint="lower the adapter's `weights:`, or build from bfloat16",
            )
        yield merged.contiguous().reshape(-1).view(torch.uint8).numpy().data


def _factors(delta: Delta) -> tuple[torch.Tensor, torch.Tensor]:
    """A and B in float32, as [rank, in] and [out, rank]."""
    read = []
    with delta.file.open("rb") as stream:
        for info in (delta.down, delta.up):
            stream.seek(info.start)
            factor = _take(stream, info, info.shape).float()
            read.append(factor.T.contiguous() if delta.stored_across else factor)
    down, up = read
    return down, up


def _added(delta: Delta, down: torch.Tensor, up: torch.Tensor, rows: slice) -> torch.Tensor:
    """With the operations of PEFT's `get_delta_weight` in their order, for rows of the weight."""
    product = (up @ down[:, rows]).T if delta.transposed else up[rows] @ down
    return product * delta.scale


def _take(stream: BinaryIO, info: TensorInfo, shape: tuple[int, ...]) -> torch.Tensor:
    """The next values of a tensor, as many as `shape` has."""
    import torch

    dtype = getattr(torch, DTYPES[info.dtype])
    content = bytearray(stream.read(math.prod(shape) * dtype.itemsize))
    return torch.frombuffer(content, dtype=dtype).reshape(shape)


TOOLS = (
    Tool(
        "lora", Kind.CONVERT, MergeParams, merge, revision=3,
        accepts=("safetensors",), makes="safetensors", wants=("facts", "adapters"), engine=engine,
        needs=bounded(300 * MIB, 8 * PIECE),
    ),
)  # fmt: skip
