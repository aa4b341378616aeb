"""A GGUF file of an MLX model, tensor by tensor: 4-bit matrices become Q4_1 blocks.

With the `gguf` package, and so that `gguf_tensors` reads back what was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ToolError
from .gguf_fields import ARCHITECTURES, check_same, fields_of
from .gguf_layout import names_in_gguf
from .gguf_tensors import read_config
from .layers_mlx import MlxLayer, affine_pieces, numbers_of, read_affine
from .listing import local_files, read_object
from .names import Place
from .packing_gguf import BLOCK, BLOCK_BYTES, to_q4_1
from .packing_mlx import Affine
from .packing_rows import to_gguf_rows
from .rounding import widened
from .safetensors_tensors import Stored
from .tokenizer_to_gguf import Vocabulary, read_vocabulary

_WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}
_PLAIN = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_FILE_TYPE, _QUANTIZATION_VERSION = 3, 2  # MOSTLY_Q4_1; GGML_QNT_VERSION of ggml.h
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
    plan = _plan(config, layers)
    embedding = next(it for it in plan if it.name == "token_embd.weight")
    vocabulary = read_vocabulary(source, embedding.layer.shape[0])
    fields, factors = fields_of({**config, "vocab_size": embedding.layer.shape[0]})
    import gguf

    writer = gguf.GGUFWriter(path, ARCHITECTURES[config["model_type"]])
    _write_fields(writer, fields, vocabulary)
    _write_specials(writer, source, config, vocabulary)
    for name, numbers in factors.items():
        writer.add_tensor_info(name, numbers.shape, numbers.dtype, numbers.nbytes)
    for it in plan:
        kind = gguf.GGMLQuantizationType[it.type]
        shape = (*it.layer.shape[:-1], it.row_bytes) if it.type == "Q4_1" else it.layer.shape
        dtype = np.dtype("u1") if it.type == "Q4_1" else np.dtype(f"f{_WIDTHS[it.type]}")
        writer.add_tensor_info(it.name, shape, dtype, it.nbytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    done, total = 0, sum(it.nbytes for it in plan)
    for numbers in factors.values():
        writer.write_tensor_data(numbers)
    for it in plan:
        writer.write_tensor_data(_data(it, tensors))
        progress(done := done + it.nbytes, total)
    writer.close()
    check_same(config, read_config(path))


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


def _write_fields(
    writer: Any, fields: Mapping[str, int | float | str | bool], vocabulary: Vocabulary
) -> None:
    named = {
        **fields,
        "general.type": "model",
        "general.file_type": _FILE_TYPE,
        "general.quantization_version": _QUANTIZATION_VERSION,
        "tokenizer.ggml.model": vocabulary.model,
        "tokenizer.ggml.pre": vocabulary.pre,
    }
    if vocabulary.adds_space is not None:
        named["tokenizer.ggml.add_space_prefix"] = vocabulary.adds_space
    if vocabulary.strips and fields["general.architecture"] == "phi3":
        named["general.name"] = "phi-3"  # by this name llama.cpp knows that spaces are stripped
    named.pop("general.architecture")  # the writer's own
    for key, value in named.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_string(key, value)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.scores is not None:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.merges is not None:
        writer.add_token_merges(vocabulary.merges)


def _write_specials(
    writer: Any, source: Path, config: Mapping[str, Any], vocabulary: Vocabulary
) -> None:
    import gguf

    special = gguf.SpecialVocab(source, n_vocab=len(vocabulary.tokens))
    special.add_special_token = {"bos": vocabulary.adds_bos, "eos": vocabulary.adds_eos}
    special.add_to_gguf(writer, quiet=True)
    # Other tokens that end a turn, which llama.cpp would know by their text alone.
    generation = read_object(local_files(source), "generation_config.json") or {}
    found = generation.get("eos_token_id", config.get("eos_token_id"))
    ends = found if isinstance(found, list) else []
    others = [number for number in ends if number != special.special_token_ids.get("eos")]
    for name, number in zip(("eot", "eom"), others, strict=False):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", number)
