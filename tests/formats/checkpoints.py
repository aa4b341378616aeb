"""Checkpoints without weights: real headers, and a hole in the file where the tensors would be."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cortexbuild.formats.safetensors.header import tensor_bytes, write_header

Shapes = Mapping[str, tuple[str, tuple[int, ...]]]
MODULE = "model.layers.0.mlp.up_proj"
INPUTS, OUTPUTS = 128, 96


def write_safetensors(
    path: Path, shapes: Shapes, metadata: Mapping[str, str] | None = None
) -> Path:
    """The tensors take no room on the disk: the file is as long as they say, and is not written."""
    header = write_header([(name, *form) for name, form in shapes.items()], metadata or {})
    size = sum(tensor_bytes(dtype, shape, name) for name, (dtype, shape) in shapes.items())
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + size)
    return path


def write_model(
    folder: Path,
    shapes: Shapes,
    config: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "model.safetensors", shapes, metadata)
    if config is not None:
        write_json(folder / "config.json", config)
    return folder


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value))


def plain(module: str = MODULE, dtype: str = "BF16") -> Shapes:
    return {f"{module}.weight": (dtype, (OUTPUTS, INPUTS))}


def gptq(bits: int = 4, group: int = 32, module: str = MODULE) -> Shapes:
    groups = INPUTS // group
    return {
        f"{module}.qweight": ("I32", (INPUTS * bits // 32, OUTPUTS)),
        f"{module}.qzeros": ("I32", (groups, OUTPUTS * bits // 32)),
        f"{module}.scales": ("F16", (groups, OUTPUTS)),
        f"{module}.g_idx": ("I32", (INPUTS,)),
    }


def awq(group: int = 32, module: str = MODULE) -> Shapes:
    groups = INPUTS // group
    return {
        f"{module}.qweight": ("I32", (INPUTS, OUTPUTS // 8)),
        f"{module}.qzeros": ("I32", (groups, OUTPUTS // 8)),
        f"{module}.scales": ("F16", (groups, OUTPUTS)),
    }


def mlx(bits: int = 4, group: int = 32, module: str = MODULE) -> Shapes:
    side = ("BF16", (OUTPUTS, INPUTS // group))
    return {
        f"{module}.weight": ("U32", (OUTPUTS, INPUTS * bits // 32)),
        f"{module}.scales": side,
        f"{module}.biases": side,
    }


def bnb4(kind: str = "nf4", module: str = MODULE) -> Shapes:
    values = INPUTS * OUTPUTS
    return {
        f"{module}.weight": ("U8", (values // 2, 1)),
        f"{module}.weight.absmax": ("F32", (values // 64,)),
        f"{module}.weight.quant_map": ("F32", (16,)),
        f"{module}.weight.quant_state.bitsandbytes__{kind}": ("U8", (92,)),
    }


def bnb8(module: str = MODULE) -> Shapes:
    return {
        f"{module}.weight": ("I8", (OUTPUTS, INPUTS)),
        f"{module}.SCB": ("F32", (OUTPUTS,)),
        f"{module}.weight_format": ("U8", ()),
    }


def fp8(scale: str = "weight_scale_inv", module: str = MODULE) -> Shapes:
    return {
        f"{module}.weight": ("F8_E4M3", (OUTPUTS, INPUTS)),
        f"{module}.{scale}": ("F32", (1, 1)),
    }


def compressed(module: str = MODULE) -> Shapes:
    return {
        f"{module}.weight_packed": ("I32", (OUTPUTS, INPUTS // 8)),
        f"{module}.weight_scale": ("BF16", (OUTPUTS, INPUTS // 32)),
        f"{module}.weight_shape": ("I64", (2,)),
    }


def mxfp4(module: str = "model.layers.0.mlp.experts.gate_up_proj") -> Shapes:
    return {
        f"{module}_blocks": ("U8", (2, OUTPUTS, INPUTS // 32, 16)),
        f"{module}_scales": ("U8", (2, OUTPUTS, INPUTS // 32)),
        f"{module}_bias": ("BF16", (2, OUTPUTS)),
    }


def torchao(module: str = MODULE) -> Shapes:
    return {
        f"{module}._weight_qdata": ("I8", (OUTPUTS, INPUTS)),
        f"{module}._weight_scale": ("BF16", (OUTPUTS, 1)),
    }


Field = tuple[str, int, Any]
"""A key, the number of its type, its value; for arrays (type of items, items)."""


def gguf_bytes(
    fields: Iterable[Field] = (),
    tensors: Sequence[tuple[str, int, tuple[int, ...], int]] = (),
    *,
    version: int = 3,
    data: int = 0,
) -> bytes:
    """A small-endian GGUF file. `tensors` are (name, type, shape, offset), `data` their bytes."""
    fields = list(fields)
    start = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(fields))
    start += b"".join(_text(key) + _value(kind, value) for key, kind, value in fields)
    for name, kind, shape, offset in tensors:
        start += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
    return start + b"\0" * (-len(start) % 32) + b"\0" * data


def _text(value: str | bytes) -> bytes:
    blob = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(blob)) + blob


def _value(kind: int, value: Any) -> bytes:
    if kind == 9:
        inner, items = value
        return struct.pack("<IIQ", kind, inner, len(items)) + b"".join(
            _value(inner, item)[4:] for item in items
        )
    if kind == 8:
        return struct.pack("<I", kind) + _text(value)
    forms = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?"}
    forms |= {10: "Q", 11: "q", 12: "d"}
    return struct.pack("<I" + forms[kind], kind, value)
