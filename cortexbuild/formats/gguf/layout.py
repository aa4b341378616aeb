"""Which tensors a GGUF file becomes, before any of them is read: names, dtypes and shapes.

In the order in which `tensors.py` gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ToolError
from ..names.tables import ROPE_TENSORS
from ..names.tensors import Place, naming_of, place
from ..packing.floats import FloatName, smallest_exact
from .header import GgufHeader, GgufTensor, read_header

BLOCK_BITS: Mapping[str, int] = {"Q4_0": 4, "Q4_1": 4, "Q8_0": 8}
"""Of the block types that MLX can express, what a code takes in MLX."""

_KEPT: Mapping[str, FloatName] = {"F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class Planned:
    """`shape` has the width of a row last. `exact` is the smallest dtype that keeps the numbers
    as they are, and None for a type of blocks."""

    place: Place
    type: str
    shape: tuple[int, ...]
    exact: FloatName | None

    @property
    def name(self) -> str:
        """What mlx-lm calls it."""
        return self.place.stacked or self.place.names[0]


def find_gguf(folder: Path) -> Path:
    """The one GGUF file in a folder. Raises ToolError when there is none, or a choice."""
    found = sorted(folder.rglob("*.gguf")) or sorted(p for p in folder.iterdir() if p.is_file())
    if len(found) != 1:
        raise ToolError(
            f"{len(found)} GGUF files are here, and one is needed",
            hint="name one file as the source; join parts with `llama-gguf-split --merge`",
        )
    return found[0]


def planned(path: Path, config: Mapping[str, Any]) -> list[Planned]:
    """What the tensors of the file become in the model of `config` (`tensors.read_config`)."""
    header = read_header(path)
    tensors = [tensor for tensor in header.tensors if tensor.name not in ROPE_TENSORS]
    return [_plan(path, header, tensor, config) for tensor in tensors]


def names_in_gguf(config: Mapping[str, Any]) -> dict[str, tuple[str, Place]]:
    """The GGUF name of every tensor that the model of `config` may have, by its name in mlx-lm.

    Raises ToolError for a family that is not known.
    """
    layers, stems = int(config["num_hidden_layers"]), naming_of(config).layer
    inner = (f"blk.{layer}.{stem}" for layer in range(layers) for stem in stems)
    found = {}
    for stem in ("token_embd", "output_norm", "output", *inner):
        for kind in ("weight", "bias"):
            where = place(config, f"{stem}.{kind}")
            found[where.stacked or where.names[0]] = (f"{stem}.{kind}", where)
    return found


def _plan(path: Path, header: GgufHeader, tensor: GgufTensor, config: Mapping[str, Any]) -> Planned:
    where, shape = place(config, tensor.name), tuple(reversed(tensor.shape))
    exact = _KEPT.get(tensor.type)
    if tensor.type == "F32" or (where.offset and exact):
        exact = _exact(path, header.data_start + tensor.offset, tensor, where)
    return Planned(where, tensor.type, shape, exact)


def _exact(path: Path, start: int, tensor: GgufTensor, where: Place) -> FloatName:
    count = int(np.prod(tensor.shape))
    if tensor.type != "F32":
        return "float32"
    numbers = np.fromfile(path, "<f4", count, offset=start) - np.float32(where.offset)
    return smallest_exact(numbers) or "float32"
