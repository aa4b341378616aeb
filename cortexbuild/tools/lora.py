"""Merge LoRA adapters into the 16-bit weights they were trained on, tensor by tensor.

What PEFT's `merge_and_unload` gives in float32, rounded once to the dtype of the weights; all
that no adapter touches stays as it is, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

from pydantic import Field

from ..core.needs import MIB, streaming
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError
from ..formats.files import weights
from ..formats.foreign import shown
from ..formats.listing import local_files
from ..formats.lora import Delta, read_adapter
from ..formats.safetensors import TensorInfo, read_header
from ..formats.shards import read_safetensors
from .torch import copy_others, versions

if TYPE_CHECKING:
    import torch

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
        raise ToolError("adapters are merged into safetensors weights, and these are others")
    tensors = read_safetensors(files, found).tensors
    roles = adapter_roles(run)
    if not roles:
        raise ToolError("there is no adapter to merge")
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
    copy_others(run, set())
    for number, path in enumerate(found.files):
        _merge_into(run.out / path, deltas)
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


def _merge_into(path: Path, deltas: Mapping[str, Sequence[Delta]]) -> None:
    """Change the weights of one file in place: their dtypes, sizes and places stay."""
    import torch

    with path.open("r+b") as stream:
        for name, weight in read_header(path).tensors.items():
            if name not in deltas:
                continue
            old = _read(stream, weight)
            new = old.float()
            for delta in deltas[name]:
                new = new + _added(delta)
            merged = new.to(old.dtype)
            if not bool(merged.isfinite().all()):
                raise ToolError(f"merged, {shown(name)} has values that are NaN or infinite")
            stream.seek(weight.start)
            stream.write(merged.contiguous().reshape(-1).view(torch.uint8).numpy().data)


def _added(delta: Delta) -> torch.Tensor:
    """In float32, with the operations of PEFT's `get_delta_weight` in their order."""
    with delta.file.open("rb") as stream:
        down, up = _read(stream, delta.down).float(), _read(stream, delta.up).float()
    if delta.stored_across:
        down, up = down.T.contiguous(), up.T.contiguous()
    product = up @ down
    return (product.T if delta.transposed else product) * delta.scale


def _read(stream: BinaryIO, info: TensorInfo) -> torch.Tensor:
    import torch

    stream.seek(info.start)
    content = bytearray(stream.read(info.end - info.start))
    return torch.frombuffer(content, dtype=getattr(torch, DTYPES[info.dtype])).reshape(info.shape)


TOOLS = (
    Tool(
        "lora", Kind.CONVERT, MergeParams, merge, revision=1,
        accepts=("safetensors",), makes="safetensors", wants=("facts", "adapters"), engine=engine,
        needs=streaming(300 * MIB, 8),
    ),
)  # fmt: skip
