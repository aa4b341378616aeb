"""Plain safetensors, as transformers opens them, out of a packed model: GGUF, GPTQ, AWQ, MLX.

Each number is computed in float32 and rounded once to the dtype of the output; the step's log
says how much that changed. With `dtype: float32` nothing is rounded. MLX weights that are not
quantized, and GGUF files of type F16 or BF16 (but for their norms, which are kept in 32 bits),
lose nothing in any case. A tensor that is missing, or one too many, is an error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

from ..core.needs import MIB, bounded
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError

if TYPE_CHECKING:
    from ..formats.packing.floats import FloatName

_TORCH = {"format": "pt"}


class UnpackParams(Params):
    """`dtype` is what all floating weights become.

    Left out, GGUF files give bfloat16 where their plain tensors are, and float16 otherwise; of
    other formats packed weights get the dtype of their scales, and the rest stays as it is.
    """

    dtype: Literal["bfloat16", "float16", "float32"] | None = None


def unpack_gguf(run: Run, params: UnpackParams) -> None:
    """Config, tokenizer and chat template come out of the file's metadata."""
    from ..formats.beside import write_json
    from ..formats.gguf.layout import find_gguf, planned
    from ..formats.gguf.tensors import iterate, read_config
    from ..formats.safetensors.shards import into_shards
    from ..formats.safetensors.stream import SafetensorsWriter
    from ..formats.safetensors.tensors import CODES
    from ..formats.tokenizer.from_gguf import write_tokenizer

    path = find_gguf(run.inputs["model"])
    config = read_config(path)
    write_tokenizer(path, run.out)  # first, since it may be refused
    plans = planned(path, config)
    has_bfloat16 = any(plan.type == "BF16" for plan in plans)
    dtype: FloatName = params.dtype or ("bfloat16" if has_bfloat16 else "float16")
    entries = [
        (name, CODES[dtype], plan.shape[1:] if plan.place.stacked else plan.shape)
        for plan in plans
        for name in plan.place.names
    ]
    shards = into_shards(entries)
    with SafetensorsWriter(run.output, shards, _TORCH, run.progress) as out:
        for name, weights in iterate(path, out.has):
            out.append(name, weights)
    write_json(run.out / "config.json", {**config, "dtype": dtype})
    say(f"{path.name} in {dtype}: {out.rounding}")


def unpack_zero_pointed(run: Run, params: UnpackParams) -> None:
    """GPTQ and AWQ, act-order too."""
    from ..formats.beside import WEIGHTS, copy_beside, read_config, unquantized, write_json
    from ..formats.layers import gptq as layers_gptq
    from ..formats.listing import local_files
    from ..formats.packing.zeros import dequantize
    from ..formats.safetensors.shards import Entry, into_shards
    from ..formats.safetensors.stream import SafetensorsWriter
    from ..formats.safetensors.tensors import CODES, FLOATS, open_tensors

    source = run.inputs["model"]
    config, tensors = read_config(source), open_tensors(source)
    layers = layers_gptq.packed_layers(tensors, config, local_files(source))
    others = layers_gptq.other_tensors(tensors, layers, config)
    scales = [tensors[f"{layer.module}.scales"].dtype for layer in layers.values()]
    # Scales of 32 bits do not make weights worth 32 bits.
    dtype: FloatName = params.dtype or ("bfloat16" if "BF16" in scales else "float16")
    entries: list[Entry] = [
        (name, CODES[dtype], (it.rows, it.columns)) for name, it in layers.items()
    ]
    for name, it in others.items():
        is_cast = params.dtype is not None and it.dtype in FLOATS
        entries.append((name, CODES[dtype] if is_cast else it.dtype, it.shape))
    shards = into_shards(entries)
    with SafetensorsWriter(run.output, shards, _TORCH, run.progress) as out:
        for name, layer in layers.items():
            if out.has(name):
                continue
            for piece in layers_gptq.row_pieces(layers_gptq.read_layer(tensors, layer)):
                out.append(name, dequantize(piece))
        for name, it in others.items():
            out.append(name, it.numbers)
    write_json(run.out / "config.json", unquantized(config, dtype))
    copy_beside(source, run.out, but=(*WEIGHTS, *layers_gptq.SETTINGS))
    if not layers_gptq.is_known(config):
        say(f"all tensors were taken: which ones a {config.get('model_type')} has is not known")
    say(f"{len(layers)} layers dequantized to {dtype}: {out.rounding}")


def unpack_mlx(run: Run, params: UnpackParams) -> None:
    """MLX's affine mode, and MLX weights that are not quantized. Experts are un-stacked."""
    from ..formats.beside import copy_beside, read_config, unquantized, write_json
    from ..formats.layers.mlx import mlx_layers, numbers_of
    from ..formats.listing import local_files
    from ..formats.safetensors.shards import into_shards
    from ..formats.safetensors.stream import SafetensorsWriter
    from ..formats.safetensors.tensors import CODES, open_tensors

    source = run.inputs["model"]
    config, tensors = read_config(source), open_tensors(source)
    layers = mlx_layers(tensors, config, local_files(source))
    entries = [
        (name, CODES[params.dtype or layer.dtype], layer.shape[len(layer.names) > 1 :])
        for layer in layers
        for name in layer.names
    ]
    shards = into_shards(entries)
    with SafetensorsWriter(run.output, shards, _TORCH, run.progress) as out:
        for layer in layers:
            if all(map(out.has, layer.names)):
                continue
            for name, numbers in numbers_of(tensors, layer):
                out.append(name, numbers)
    largest = max(layers, key=lambda layer: tensors[layer.name].numbers.nbytes)
    dtype = params.dtype or largest.dtype
    write_json(run.out / "config.json", unquantized(config, dtype))
    copy_beside(source, run.out)
    packed = sum(layer.packed is not None for layer in layers)
    say(f"{packed} of {len(layers)} tensors dequantized, in {dtype}: {out.rounding}")


def engine() -> Mapping[str, str]:
    """What dequantizes the blocks of GGUF files, and writes such files."""
    try:
        return {"gguf": version("gguf")}
    except PackageNotFoundError as error:
        raise ToolError("gguf is not installed", hint="pip install 'cortexbuild[gguf]'") from error


def say(text: str) -> None:
    """A line in the step's log."""
    sys.stderr.write(text + "\n")


def _predict(bits: float, params: UnpackParams, size: int) -> int:
    """From so many bits a weight, as these formats usually have, to 16 or 32."""
    return int(size * (32 if params.dtype == "float32" else 16) / bits)


def _tool(
    run: Callable[[Run, UnpackParams], None],
    accepts: tuple[str, ...],
    bits: float,
    engine: Callable[[], Mapping[str, str]] = dict,
) -> Tool:
    return Tool(
        "unpack", Kind.CONVERT, UnpackParams, run, revision=3, accepts=accepts,
        makes="safetensors", wants=("facts",), engine=engine, predict=partial(_predict, bits),
        bridge=True, needs=bounded(150 * MIB, 512 * MIB),
    )  # fmt: skip


TOOLS = (
    _tool(unpack_gguf, ("gguf", "gguf-*"), 4.5, engine),
    _tool(
        unpack_zero_pointed,
        ("gptq", "gptq-2bit*", "gptq-4bit*", "gptq-8bit*", "awq", "awq-4bit"),
        4.25,
    ),
    _tool(unpack_mlx, ("mlx", "mlx-*bit"), 4.5),
)
