"""The weights of a GGUF file under their Hugging Face names, one tensor at a time.

The file is memory-mapped: what is kept in memory is the tensor at hand. The `gguf` package is
needed only to dequantize.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import FETCH_AGAIN, OTHER_PUBLICATION, IntegrityError, ToolError
from ..mapping import mapped
from ..names.config import config_from_gguf
from ..names.tables import ROPE_TENSORS
from ..names.tensors import Place, place, tensors_expected
from ..packing.gguf import BLOCK_BYTES, BlockType, from_gguf_blocks
from ..packing.mlx import Affine
from ..packing.rows import from_gguf_rows
from ..rounding import PIECE, in_pieces
from .header import GgufHeader, read_header

Weights: TypeAlias = NDArray[np.float32] | NDArray[np.float16] | NDArray[np.uint16]
"""uint16 holds the bits of bfloat16, which numpy does not have (`packing/floats.py`)."""

Leave: TypeAlias = Callable[[str], bool]

_NUMBERS_PER_BYTE = 4
"""Of the types with the fewest bits."""


def _nothing(_: str) -> bool:
    return False


_LOSSLESS: Mapping[str, BlockType] = {name: name for name in BLOCK_BYTES}
_PLAIN = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True, slots=True)
class _Tensor:
    """`data` is a view of the file: numbers of a type in _PLAIN, otherwise the bytes of blocks.

    Its axes are in Hugging Face's order, the width of a row last.
    """

    name: str
    type: str
    data: NDArray[Any]


def read_config(path: Path) -> dict[str, Any]:
    """The config.json of the model in the file, without a dtype. Errors are those of `iterate`."""
    return _open(path)[0]


def iterate(path: Path, leave: Leave = _nothing) -> Iterator[tuple[str, Weights]]:
    """Every tensor by its Hugging Face name, as transformers and mlx-lm load it, but for those to
    `leave` out.

    float16 and bfloat16 stay what they are; all other types come as float32, as the `gguf`
    package dequantizes them. Stacked experts come one by one, and large tensors some rows at a
    time. Arrays may be views of the file.

    Before the first one, raises IntegrityError when the file is damaged or lacks a tensor, and
    ToolError when it is one part of several, has a tensor too many, or is a model that
    `names/config.py` does not know. Later, ToolError for a type that cannot be dequantized.
    """
    for tensor, place_ in _open(path)[1]:
        experts = [tensor.data] if place_.stacked is None else tensor.data
        for name, data in zip(place_.names, experts, strict=True):
            for piece in () if leave(name) else _pieces(tensor, data, place_):
                yield name, _weights(tensor.name, tensor.type, piece, place_)


def iterate_mlx(path: Path, leave: Leave = _nothing) -> Iterator[tuple[str, Weights | Affine]]:
    """Every tensor by its name in mlx-lm, packed where that loses nothing, but for those to
    `leave` out. Large ones come some rows at a time.

    Matrices of type Q4_0, Q4_1 and Q8_0 become an Affine in groups of 32, whose name still ends
    in `.weight`; all others are as in `iterate`, with its errors. Experts stay stacked, under
    mlx-lm's `switch_mlp`: what it stacks by itself it may stack only unpacked (qwen3_moe).
    """
    for tensor, place_ in _open(path)[1]:
        name, block_type = place_.stacked or place_.names[0], _LOSSLESS.get(tensor.type)
        for piece in () if leave(name) else _pieces(tensor, tensor.data, place_):
            if block_type is None:
                yield name, _weights(tensor.name, tensor.type, piece, place_)
            else:
                affine = from_gguf_blocks(piece, block_type)
                yield name, _in_order(affine, place_.heads) if place_.heads else affine


def _pieces(tensor: _Tensor, data: NDArray[Any], place_: Place) -> Iterator[NDArray[Any]]:
    """Some rows at a time; all at once where little is, or they are to be put in another order."""
    many = 1 if tensor.type in _PLAIN else _NUMBERS_PER_BYTE
    if place_.heads or data.ndim == 1 or data.size * many <= PIECE:
        yield data
        return
    for matrix in data if data.ndim > 2 else [data]:
        for rows in in_pieces(len(matrix), matrix.shape[-1] * many):
            yield matrix[rows]


def _in_order(affine: Affine, heads: int) -> Affine:
    return Affine(
        from_gguf_rows(affine.weight, heads),
        from_gguf_rows(affine.scales, heads),
        from_gguf_rows(affine.biases, heads),
        affine.bits,
        affine.group_size,
    )


def _weights(name: str, type_: str, data: NDArray[Any], place_: Place) -> Weights:
    weights = data
    if type_ not in _PLAIN or (place_.offset and type_ != "F32"):
        weights = _dequantize(name, type_, data)
    if place_.offset:
        weights = weights - np.float32(place_.offset)
    return from_gguf_rows(weights, place_.heads) if place_.heads else weights


def _dequantize(name: str, type_: str, data: NDArray[Any]) -> NDArray[np.float32]:
    try:
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize
    except ImportError as error:
        raise ToolError(
            f"`{name}` is {type_}, and the package that can dequantize it is not installed",
            hint="pip install gguf",
        ) from error
    try:
        octets = np.ascontiguousarray(data).view(np.uint8)
        return np.asarray(dequantize(octets, GGMLQuantizationType[type_]), np.float32)
    except (NotImplementedError, KeyError) as error:
        raise ToolError(
            f"`{name}` is {type_}, which cannot be dequantized here", hint=OTHER_PUBLICATION
        ) from error


def _open(path: Path) -> tuple[dict[str, Any], list[tuple[_Tensor, Place]]]:
    header = read_header(path)
    parts = header.fields.get("split.count", 1)
    if parts not in (0, 1):
        raise ToolError(
            f"{path.name} is one of {parts} parts",
            hint="join them with llama.cpp's `llama-gguf-split --merge`",
        )
    tensors = _tensors(path, header)
    shapes = {tensor.name: tuple(reversed(tensor.shape)) for tensor in header.tensors}
    factors = {tensor.name: tensor.data for tensor in tensors if tensor.name in ROPE_TENSORS}
    config = config_from_gguf(header.fields, shapes, factors)
    _check_counts(path, config, shapes)
    placed = [(t, place(config, t.name)) for t in tensors if t.name not in ROPE_TENSORS]
    _check_complete(path, config, placed)
    return config, placed


def _tensors(path: Path, header: GgufHeader) -> list[_Tensor]:
    # Not one map per tensor: a large model has more of them than a process may have maps.
    file = mapped(path)
    tensors = []
    for tensor in header.tensors:
        start = header.data_start + tensor.offset
        octets = np.asarray(file[start : start + tensor.nbytes])
        rows = tuple(reversed(tensor.shape[1:]))
        data = octets.reshape(*rows, -1) if octets.size else octets
        tensors.append(_Tensor(tensor.name, tensor.type, data.view(_PLAIN.get(tensor.type, "u1"))))
    return tensors


def _check_counts(
    path: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Do not make a list of a billion names because a damaged file announces as many layers."""
    layers, experts = config["num_hidden_layers"], config.get("num_local_experts")
    if layers > len(shapes):
        raise IntegrityError(
            f"{path.name} has {len(shapes)} tensors for {layers} layers", hint=FETCH_AGAIN
        )
    stacks = {name: shape[0] for name, shape in shapes.items() if "_exps." in name}
    if experts:
        stacks.setdefault("blk.0.ffn_gate_exps.weight", 0)
    for name, count in stacks.items():
        if count != experts:
            raise IntegrityError(
                f"`{name}` has {count} experts, not {experts or 0}", hint=FETCH_AGAIN
            )


def _check_complete(
    path: Path, config: Mapping[str, Any], placed: list[tuple[_Tensor, Place]]
) -> None:
    expected, found = tensors_expected(config), set[str]()
    for tensor, place_ in placed:
        if not expected.issuperset(place_.names):
            raise ToolError(
                f"`{tensor.name}` is not a tensor of this {config['model_type']}",
                hint=OTHER_PUBLICATION,
            )
        found.update(place_.names)
    missing = sorted(expected - found)
    if missing:
        raise IntegrityError(
            f"{path.name} lacks {len(missing)} tensors, the first is `{missing[0]}`",
            hint=FETCH_AGAIN,
        )
