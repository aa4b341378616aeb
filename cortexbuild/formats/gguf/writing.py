"""A GGUF file of an MLX model, tensor by tensor: 4-bit matrices become Q4_1 blocks.

With the `gguf` package, and so that `tensors.py` reads back what was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ToolError
from ..layers.mlx import MlxLayer, affine_pieces, numbers_of, read_affine
from ..names.tensors import Place
from ..packing.gguf import BLOCK, BLOCK_BYTES, to_q4_1
from ..packing.mlx import Affine
from ..packing.rows import to_gguf_rows
from ..rounding import widened
from ..safetensors.tensors import Stored
from ..tokenizer.to_gguf import read_vocabulary
from .fields import ARCHITECTURES, Factors, check_same, fields_of
from .layout import names_in_gguf
from .metadata import write_fields, write_specials
from .tensors import read_config

_WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}
_PLAIN = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_UNPACK = "`unpack` it, convert it to GGUF, and quantize that"


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    place: Place
    type: str
    layer: MlxLayer

    @property
    def row_bytes(self) -> int:
        columns = self.layer.shape[-1]
        if self.type == "Q4_1":
            return columns // BLOCK * BLOCK_BYTES["Q4_1"]
        return columns * _WIDTHS[self.type]

    @property
    def nbytes(self) -> int:
        return prod(self.layer.shape[:-1]) * self.row_bytes


def write_gguf(
    source: Path,
    path: Path,
    config: Mapping[str, Any],
    layers: list[MlxLayer],
    tensors: Mapping[str, Stored],
    progress: Callable[[int, int], None],
) -> None:
    """Write the model in the folder `source`, whose config, layers and tensors these are.

    Raises ToolError for a family or tokenizer that is not supported, for layers packed in other
    than 4 bits, and for scales that are not float16 numbers.
    """
    import gguf

    plan = _plan(config, layers)
    size = next(it.layer.shape[0] for it in plan if it.name == "token_embd.weight")
    vocabulary = read_vocabulary(source, size)
    fields, factors = fields_of({**config, "vocab_size": size})
    with closing(gguf.GGUFWriter(path, ARCHITECTURES[config["model_type"]])) as writer:
        write_fields(writer, fields, vocabulary)
        write_specials(writer, source, config, vocabulary)
        _announce(writer, factors, plan)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for numbers in factors.values():
            writer.write_tensor_data(numbers)
        done, total = 0, sum(it.nbytes for it in plan)
        for it in plan:
            writer.write_tensor_data(_data(it, tensors))
            progress(done := done + it.nbytes, total)
    check_same(config, read_config(path))


def _announce(writer: Any, factors: Factors, plan: list[_Tensor]) -> None:
    import gguf

    for name, numbers in factors.items():
        writer.add_tensor_info(name, numbers.shape, numbers.dtype, numbers.nbytes)
    for it in plan:
        kind = gguf.GGMLQuantizationType[it.type]
        is_packed = it.type == "Q4_1"
        shape = (*it.layer.shape[:-1], it.row_bytes) if is_packed else it.layer.shape
        dtype = np.dtype("u1" if is_packed else f"f{_WIDTHS[it.type]}")
        writer.add_tensor_info(it.name, shape, dtype, it.nbytes, raw_dtype=kind)


def _plan(config: Mapping[str, Any], layers: list[MlxLayer]) -> list[_Tensor]:
    names = names_in_gguf(config)
    plan = []
    for layer in layers:
        if layer.name not in names:
            raise ToolError(f"`{layer.name}` has no place in a GGUF file", hint=_UNPACK)
        name, place = names[layer.name]
        plan.append(_Tensor(name, place, _type(name, layer), layer))
    if not any(it.type == "Q4_1" for it in plan):
        raise ToolError("no layer of this model is packed in 4 bits", hint=_UNPACK)
    return plan


def _type(name: str, layer: MlxLayer) -> str:
    # llama.cpp computes with vectors and with routers in float32 only.
    if len(layer.shape) == 1 or ".ffn_gate_inp." in name:
        return "F32"
    if layer.packed is None:
        return _PLAIN[layer.dtype]
    if layer.packed.bits != 4:
        raise ToolError(
            f"`{layer.name}` is packed in {layer.packed.bits} bits; only 4 go into a GGUF as they "
            "are",
            hint=_UNPACK,
        )
    return "Q4_1"


def _data(it: _Tensor, tensors: Mapping[str, Stored]) -> NDArray[Any]:
    if it.type == "Q4_1":
        affine = _without_idle_scales(read_affine(tensors, it.layer))
        if heads := it.place.heads:
            affine = replace(
                affine,
                weight=to_gguf_rows(affine.weight, heads),
                scales=to_gguf_rows(affine.scales, heads),
                biases=to_gguf_rows(affine.biases, heads),
            )
        try:
            return np.concatenate([to_q4_1(piece) for piece in affine_pieces(affine)])
        except ToolError as error:
            raise ToolError(f"`{it.layer.name}`: {error}", hint=_UNPACK) from error
    whole = replace(it.layer, names=it.layer.names[:1])
    numbers = np.concatenate([part for _, part in numbers_of(tensors, whole)])
    numbers = numbers.reshape(it.layer.shape)
    if it.type == "F32":
        numbers = widened(numbers) + np.float32(it.place.offset)
    return to_gguf_rows(numbers, it.place.heads) if it.place.heads else numbers


def _without_idle_scales(affine: Affine) -> Affine:
    """Of a group whose codes are all 0 only the bias counts; MLX gives it a scale of 1e-7, which
    is not a float16 number."""
    grouped = affine.weight.reshape(*affine.scales.shape, -1)
    scales = affine.scales * grouped.any(axis=-1)
    return replace(affine, scales=scales)
