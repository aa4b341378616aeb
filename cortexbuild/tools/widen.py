"""Weights in 8-bit floats to plain ones: each times its scale, rounded once to 16 bits.

So mlx-lm, transformers and vLLM compute them when they load such a model. In bfloat16 a product
loses some bits; with `dtype: float32` nothing is rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..core.needs import MIB, bounded
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from .unpack import say

if TYPE_CHECKING:
    from ..formats.safetensors.shards import Entry


class WidenParams(Params):
    """`dtype` is what the weights in 8 bits become. All others stay as they are."""

    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"


def widen(run: Run, params: WidenParams) -> None:
    from ..formats.beside import copy_beside, read_config, unquantized, write_json
    from ..formats.layers.fp8 import others, scaled_layers
    from ..formats.safetensors.shards import into_shards
    from ..formats.safetensors.stream import SafetensorsWriter
    from ..formats.safetensors.tensors import CODES, open_tensors

    source = run.inputs["model"]
    config, tensors = read_config(source), open_tensors(source)
    layers = scaled_layers(tensors, config)
    code, kept = CODES[params.dtype], others(tensors, layers)
    entries: list[Entry] = []
    for name, tensor in tensors.items():  # in the order of the source, which is read once
        if name in layers or name in kept:
            entries.append((name, code if name in layers else tensor.dtype, tensor.shape))
    with SafetensorsWriter(run.output, into_shards(entries), {"format": "pt"}, run.progress) as out:
        for name, *_ in entries:
            if name in kept:
                out.append(name, kept[name].numbers)
            elif not out.has(name):
                for piece in layers[name].pieces():
                    out.append(name, piece)
    write_json(run.out / "config.json", unquantized(config, params.dtype))
    copy_beside(source, run.out)
    say(f"{len(layers)} layers in 8-bit floats, now in {params.dtype}: {out.rounding}")


def _predict(params: WidenParams, size: int) -> int:
    return size * (4 if params.dtype == "float32" else 2)


TOOLS = (
    Tool(
        "widen", Kind.CONVERT, WidenParams, widen, revision=1, accepts=("fp8",),
        makes="safetensors", wants=("facts",), predict=_predict, bridge=True,
        needs=bounded(150 * MIB, 512 * MIB),
    ),
)  # fmt: skip
