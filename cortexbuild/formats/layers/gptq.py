"""The layers of a GPTQ or AWQ checkpoint, and which of its other tensors belong to the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ...errors import ToolError
from ..cards import read_card
from ..complete import check_complete, is_left_out
from ..listing import Files, read_object
from ..names.tables import NAMINGS
from ..names.tensors import tensors_expected
from ..packing.awq import read_awq
from ..packing.gptq import read_gptq
from ..packing.zeros import ZeroPointed
from ..quantized import is_companion, packed
from ..rounding import in_pieces
from ..safetensors.tensors import Stored
from .mlx import expert_stacks

SETTINGS = ("quantize_config.json", "quant_config.json")
"""Where the first tools of the two methods wrote what now stands in config.json."""

_START = "start from the unquantized model"


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """`columns` are the inputs, `rows` the outputs. `group_size` None is one group for all."""

    module: str
    method: Literal["gptq", "awq"]
    layout: Literal["gptq", "gptq_v2"]
    bits: int
    group_size: int | None
    rows: int
    columns: int


def packed_layers(
    tensors: Mapping[str, Stored], config: Mapping[str, Any], files: Files
) -> dict[str, PackedLayer]:
    """By the name of the weight that each stands for.

    Raises ToolError when the model is quantized in another way, IntegrityError when shapes do
    not fit each other.
    """
    settings = read_card(files).settings
    if settings.method not in (None, "gptq", "awq"):
        raise ToolError(f"weights quantized with {settings.method} are not supported", hint=_START)
    layout = _layout(config, files)
    found = {}
    for name, tensor in tensors.items():
        if not name.endswith(".qweight"):
            continue
        how = packed(name, tensors, settings)
        module = name.removesuffix(".qweight")
        if how is None or how.method not in ("gptq", "awq"):
            raise ToolError(f"`{name}` is not packed as GPTQ or AWQ pack", hint=_START)
        groups, rows = tensors[f"{module}.scales"].shape
        columns = tensor.shape[0] * (32 // how.bits if how.method == "gptq" else 1)
        size, said = how.group_size, settings.group_size
        if said and -(-columns // said) == groups:
            size = said  # the last group may be shorter, which shapes alone do not tell
        method: Literal["gptq", "awq"] = "gptq" if how.method == "gptq" else "awq"
        found[f"{module}.weight"] = PackedLayer(
            module, method, layout, how.bits, size, rows, columns
        )
    if not found:
        raise ToolError("no layer of this model is packed as GPTQ or AWQ pack", hint=_START)
    return found


def stacked_layers(
    layers: Mapping[str, PackedLayer], config: Mapping[str, Any]
) -> dict[str, list[PackedLayer]]:
    """The layers by the name of their weight in mlx-lm, where the experts of a matrix are one.

    Raises ToolError when experts of one matrix are packed in different ways, or not all of them.
    """
    stacks = expert_stacks(config) if is_known(config) else {}
    found: dict[str, list[PackedLayer]] = {}
    for stack, names in stacks.items():
        inside = [layers[name] for name in names if name in layers]
        forms = {(it.rows, it.columns, it.bits, it.group_size) for it in inside}
        if inside and (len(inside) < len(names) or len(forms) > 1):
            raise ToolError(f"the experts of `{stack}` are not packed alike", hint=_START)
        if inside:
            found[stack] = inside
    experts = {name for names in stacks.values() for name in names}
    return found | {name: [it] for name, it in layers.items() if name not in experts}


def read_layer(tensors: Mapping[str, Stored], layer: PackedLayer) -> ZeroPointed:
    """A layer, ready to be dequantized or packed otherwise."""
    parts = {
        name: tensors[f"{layer.module}.{name}"].numbers
        for name in ("qweight", "qzeros", "g_idx")
        if f"{layer.module}.{name}" in tensors
    }
    parts["scales"] = tensors[f"{layer.module}.scales"].floats()
    return _read(parts, layer)


def read_groups(tensors: Mapping[str, Stored], layer: PackedLayer) -> ZeroPointed:
    """The same with all its scales and zeros, but of its columns only the first few."""
    parts = {"scales": tensors[f"{layer.module}.scales"].floats()}
    if (zeros := tensors.get(f"{layer.module}.qzeros")) is not None:
        parts["qzeros"] = zeros.numbers
    # AWQ keeps one column in a row of `qweight`, GPTQ several.
    few = 8 if layer.method == "awq" else 1
    parts["qweight"] = tensors[f"{layer.module}.qweight"].numbers[:few]
    return _read(parts, layer)


def row_pieces(matrix: ZeroPointed) -> Iterator[ZeroPointed]:
    """The same matrix, some rows at a time."""
    for rows in in_pieces(len(matrix.words), len(matrix.group_of)):
        yield replace(
            matrix, words=matrix.words[rows], zeros=matrix.zeros[rows], scales=matrix.scales[rows]
        )


def is_known(config: Mapping[str, Any]) -> bool:
    """Whether it is known which tensors a model with this config.json has."""
    return config.get("model_type") in NAMINGS


def other_tensors(
    tensors: Mapping[str, Stored], layers: Mapping[str, PackedLayer], config: Mapping[str, Any]
) -> dict[str, Stored]:
    """What is not packed. Tensors too many or too few are an error where `is_known`; of other
    families all are taken.

    AutoGPTQ writes a bias of zeros for each layer that it packs. Where the family has none it is
    left out: added, it changes nothing.
    """
    others = {name: it for name, it in tensors.items() if not is_companion(name, tensors)}
    others = {name: it for name, it in others.items() if not name.endswith(".qweight")}
    if not is_known(config):
        return others
    expected = tensors_expected(config)
    for name in [name for name in others if name not in expected]:
        is_packed = name.removesuffix(".bias") + ".weight" in layers
        if is_left_out(name, config) or (is_packed and not np.any(others[name].numbers)):
            del others[name]
    check_complete([*others, *layers], config)
    return others


def _read(parts: Mapping[str, Any], layer: PackedLayer) -> ZeroPointed:
    try:
        if layer.method == "awq":
            return read_awq(parts, group_size=layer.group_size)
        return read_gptq(
            parts, bits=layer.bits, group_size=layer.group_size, checkpoint_format=layer.layout
        )
    except ToolError as error:
        raise ToolError(f"`{layer.module}`: {error}", hint=error.hint) from error


def _layout(config: Mapping[str, Any], files: Files) -> Literal["gptq", "gptq_v2"]:
    said: dict[str, Any] = dict(config.get("quantization_config") or {})
    for name in SETTINGS:
        said = said or read_object(files, name) or {}
    version = str(said.get("version", "gemm")).lower()
    layout = str(said.get("checkpoint_format") or "gptq")
    if said.get("quant_method", "awq") == "awq" and version != "gemm":
        raise ToolError(f"AWQ of version `{version}` is not supported, only `gemm`", hint=_START)
    if layout not in ("gptq", "gptq_v2"):
        raise ToolError(f"GPTQ of format `{layout}` is not supported", hint=_START)
    return "gptq_v2" if layout == "gptq_v2" else "gptq"
