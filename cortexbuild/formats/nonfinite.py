"""Weights that are NaN or infinite: in plain numbers, and in the scales of packed ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import weights
from .gguf.header import read_header
from .gguf.types import TENSOR_TYPES
from .listing import local_files
from .mapping import mapped
from .packing.floats import float32_of_bfloat16
from .rounding import in_pieces
from .safetensors.tensors import open_tensors

SCALES: Mapping[str, tuple[int, ...]] = {
    "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,),
    "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,),
    "IQ4_NL": (0,), "IQ4_XS": (0,), "IQ3_S": (0,), "IQ3_XXS": (0,), "IQ2_S": (0,),
    "IQ2_XS": (0,), "IQ2_XXS": (0,),
}  # fmt: skip
"""At which bytes of a block its float16 scales are (ggml/src/ggml-common.h)."""

PLAIN = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}


@dataclass(frozen=True, slots=True)
class Nonfinite:
    """How many numbers are NaN or infinite, and the first tensor that has one."""

    count: int = 0
    first: str = ""


def nonfinite(model: Path) -> Nonfinite:
    """Look at every float of a model in safetensors or GGUF; integers are always numbers."""
    files = local_files(model)
    chosen = weights(files.sizes)
    if chosen is None or chosen.format not in ("safetensors", "gguf"):
        return Nonfinite()
    found = _gguf(model, chosen.files) if chosen.format == "gguf" else _safetensors(model)
    count, first = 0, ""
    for name, numbers in found:
        flat = numbers.reshape(-1)
        bad = sum(_count(flat[piece]) for piece in in_pieces(flat.size, 1))
        if bad:
            count, first = count + bad, first or name
    return Nonfinite(count, first)


def _safetensors(folder: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, tensor in open_tensors(folder).items():
        if tensor.dtype in PLAIN:
            yield name, tensor.numbers


def _gguf(model: Path, paths: Sequence[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Plain numbers as they are, of packed ones their scales."""
    folder = model if model.is_dir() else model.parent
    sizes = {kind.name: kind.size for kind in TENSOR_TYPES.values()}
    for path in paths:
        header = read_header(folder / path)
        file = mapped(folder / path)
        for tensor in header.tensors:
            start = header.data_start + tensor.offset
            octets = np.asarray(file[start : start + tensor.nbytes])
            if tensor.type in PLAIN:
                yield tensor.name, octets.view(PLAIN[tensor.type])
            for at in SCALES.get(tensor.type, ()):
                scales = octets.reshape(-1, sizes[tensor.type])[:, at : at + 2]
                yield tensor.name, np.ascontiguousarray(scales).view("<f2")


def _count(numbers: NDArray[Any]) -> int:
    wide = float32_of_bfloat16(numbers) if numbers.dtype == np.uint16 else numbers
    return int(wide.size - np.count_nonzero(np.isfinite(wide)))
