"""The same numbers in another format: packed weights are repacked, and none is quantized again.

Exact in float32, bit for bit, are
    GGUF of type Q4_0, Q4_1 or Q8_0   -> MLX, 4 or 8 bits in groups of 32
    GPTQ with 2, 4 or 8 bits and AWQ  -> MLX, where groups are 32, 64 or 128 neighbours
    MLX with 4 bits                   -> GGUF of type Q4_1, where scales are float16 numbers
but for Gemma's norms, of which the last bits go, since GGUF keeps them with one added. All else
is refused; the way out is to `unpack` and to quantize again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from ..core.needs import MIB, bounded
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import FETCH_AGAIN, ToolError
from .unpack import engine, say

if TYPE_CHECKING:
    from ..formats.layers.gptq import PackedLayer
    from ..formats.mlx_output import Packing
    from ..formats.packing.floats import FloatName
    from ..formats.safetensors.shards import Entry
    from ..formats.safetensors.tensors import Stored

GGUF_FILE = "model.gguf"
NEEDS = bounded(150 * MIB, 512 * MIB)
_MLX = {"format": "mlx"}
_REQUANTIZE = "use a recipe that converts with `unpack`, then with `mlx`, and then quantizes"


class ToMlxParams(Params):
    """`dtype` is that of scales, biases, and what is not packed.

    Left out, each has the smallest that holds it exactly, which may be float32: then MLX
    computes in float32 too. A dtype rounds them, and the step's log says how much.
    """

    dtype: Literal["bfloat16", "float16", "float32"] | None = None


class ToGgufParams(Params):
    """There is nothing to choose."""


def gguf_to_mlx(run: Run, params: ToMlxParams) -> None:
    """Tensors of other types among the packed ones become plain numbers."""
    from ..formats.beside import write_json
    from ..formats.gguf.header import quantization_name, read_header
    from ..formats.gguf.layout import BLOCK_BITS, find_gguf, planned
    from ..formats.gguf.tensors import iterate_mlx, read_config
    from ..formats.mlx_output import Packing, append, mlx_config
    from ..formats.packing.gguf import BLOCK
    from ..formats.safetensors.shards import into_shards
    from ..formats.safetensors.stream import SafetensorsWriter
    from ..formats.safetensors.tensors import CODES
    from ..formats.tokenizer.from_gguf import write_tokenizer

    path = find_gguf(run.inputs["model"])
    if (kind := quantization_name(read_header(path))) not in BLOCK_BITS:
        raise ToolError(f"MLX cannot express {kind} exactly", hint=_REQUANTIZE)
    config = read_config(path)
    write_tokenizer(path, run.out)  # first, since it may be refused
    main: FloatName = params.dtype or "float16"
    packed: dict[str, Packing] = {}
    entries: list[Entry] = []
    matrices = []
    for plan in planned(path, config):
        if bits := BLOCK_BITS.get(plan.type):
            packed[plan.name] = Packing(plan.shape, bits, BLOCK, main)
            entries += packed[plan.name].entries(plan.name)
        else:
            dtype = params.dtype or plan.exact or "float32"
            entries.append((plan.name, CODES[dtype], plan.shape))
            matrices += [plan.name] if len(plan.shape) > 1 else []
    shards = into_shards(entries)
    with SafetensorsWriter(run.output, shards, _MLX, run.progress) as out:
        for name, found in iterate_mlx(path, out.has):
            append(out, name, found)
    write_json(run.out / "config.json", mlx_config({**config, "dtype": main}, packed, matrices))
    say(f"{len(packed)} tensors repacked; of scales, biases and the rest, {out.rounding}")


def zero_pointed_to_mlx(run: Run, params: ToMlxParams) -> None:
    """GPTQ without act-order, and AWQ. Experts are stacked, as mlx-lm has them."""
    from ..formats.beside import WEIGHTS, copy_beside, read_config, unquantized, write_json
    from ..formats.layers import gptq as layers_gptq
    from ..formats.listing import local_files
    from ..formats.mlx_output import Packing, append, mlx_config
    from ..formats.packing.zeros import to_affine
    from ..formats.safetensors.shards import into_shards
    from ..formats.safetensors.stream import SafetensorsWriter
    from ..formats.safetensors.tensors import CODES, FLOATS, open_tensors

    source = run.inputs["model"]
    config, tensors = read_config(source), open_tensors(source)
    layers = layers_gptq.packed_layers(tensors, config, local_files(source))
    others = layers_gptq.other_tensors(tensors, layers, config)
    _refuse_groups(tensors, layers)
    stacks = layers_gptq.stacked_layers(layers, config)
    main: FloatName = params.dtype or "float16"
    packed = {}
    for name, parts in stacks.items():
        first, many = parts[0], [len(parts)] if len(parts) > 1 else []
        dtype = params.dtype or _exact(tensors, parts)
        shape = (*many, first.rows, first.columns)
        packed[name] = Packing(shape, first.bits, first.group_size or first.columns, dtype)
    entries = _entries(packed)
    for name, it in others.items():
        is_cast = params.dtype is not None and it.dtype in FLOATS
        entries.append((name, CODES[main] if is_cast else it.dtype, it.shape))
    shards = into_shards(entries)
    with SafetensorsWriter(run.output, shards, _MLX, run.progress) as out:
        for name, parts in stacks.items():
            for layer in () if out.has(name) else parts:
                matrix = layers_gptq.read_layer(tensors, layer)
                append(out, name, to_affine(matrix, packed[name].group_size))
        for name, it in others.items():
            append(out, name, it.numbers)
    matrices = [name for name, it in others.items() if len(it.shape) > 1]
    write_json(run.out / "config.json", mlx_config(unquantized(config, main), packed, matrices))
    copy_beside(source, run.out, but=(*WEIGHTS, *layers_gptq.SETTINGS))
    say(f"{len(layers)} layers repacked; of scales, biases and the rest, {out.rounding}")


def mlx_to_gguf(run: Run, params: ToGgufParams) -> None:  # noqa: ARG001
    """Metadata is written from config.json, and the vocabulary from tokenizer.json."""
    from ..formats.beside import read_config
    from ..formats.gguf.writing import write_gguf
    from ..formats.layers.mlx import mlx_layers
    from ..formats.listing import local_files
    from ..formats.safetensors.tensors import open_tensors

    source = run.inputs["model"]
    config, tensors = read_config(source), open_tensors(source)
    layers = mlx_layers(tensors, config, local_files(source))
    write_gguf(source, run.out / GGUF_FILE, config, layers, tensors, run.progress)


def _entries(packed: Mapping[str, Packing]) -> list[Entry]:
    return [entry for name, it in packed.items() for entry in it.entries(name)]


def _refuse_groups(tensors: Mapping[str, Stored], layers: Mapping[str, PackedLayer]) -> None:
    """Before anything is written, refuse groups that MLX cannot express."""
    from ..formats.packing.mlx import GROUP_SIZES
    from ..formats.packing.zeros import is_consecutive

    for layer in layers.values():
        size = layer.group_size or layer.columns
        order = tensors.get(f"{layer.module}.g_idx")
        if order is not None and not is_consecutive(order.numbers, size):
            what = "groups in the order of activations (act-order)"
        elif size not in GROUP_SIZES or layer.columns % size:
            what = f"groups of {size} in rows of {layer.columns}"
        else:
            continue
        raise ToolError(f"`{layer.module}` has {what}, which MLX has not", hint=_REQUANTIZE)


def _exact(tensors: Mapping[str, Stored], layers: list[PackedLayer]) -> FloatName:
    """The smallest dtype that holds all scales and biases. It reads no codes."""
    from ..formats.layers.gptq import read_groups
    from ..formats.packing.floats import smallest_exact

    numbers = []
    for layer in layers:
        groups = read_groups(tensors, layer)
        numbers += [groups.scales, -(groups.zeros.astype("f4") * groups.scales.astype("f4"))]
    if (found := smallest_exact(*numbers)) is None:
        raise ToolError(f"`{layers[0].module}` has scales that are not numbers", hint=FETCH_AGAIN)
    return found


TOOLS = (
    Tool(
        "transcode", Kind.CONVERT, ToMlxParams, gguf_to_mlx, revision=2,
        accepts=("gguf-q4_0", "gguf-q4_1", "gguf-q8_0"), makes="mlx", wants=("facts",),
        engine=engine, predict=lambda _, size: int(size * 5 / 4.5), needs=NEEDS,
    ),
    Tool(
        "transcode", Kind.CONVERT, ToMlxParams, zero_pointed_to_mlx, revision=2,
        accepts=("gptq", "gptq-2bit", "gptq-4bit", "gptq-8bit", "awq", "awq-4bit"), makes="mlx",
        wants=("facts",), predict=lambda _, size: int(size * 1.1), needs=NEEDS,
    ),
    Tool(
        "transcode", Kind.CONVERT, ToGgufParams, mlx_to_gguf, revision=1,
        accepts=("mlx-4bit",), makes="gguf", wants=("facts",), engine=engine,
        predict=lambda _, size: int(size * 5 / 4.5), needs=NEEDS,
    ),
)  # fmt: skip
