"""A model of mlx-lm, written with other dtypes or with its matrices packed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..core.ports import Output, Progress
from ..formats.safetensors.shards import Entry, into_shards
from ..formats.safetensors.stream import SafetensorsWriter
from .packing import Packing, Weight, write_weights
from .tracing import Traced, trace

if TYPE_CHECKING:
    import mlx.core as mx
    import mlx.nn as nn

Change: TypeAlias = "Callable[[nn.Module, dict[str, Any]], tuple[nn.Module, dict[str, Any]]]"
"""What is done to a model and its config, lazily: `quantize_model` of mlx-lm, with its settings."""

MOST_WORKERS = 8
CODES = {
    "bfloat16": "BF16", "float16": "F16", "float32": "F32", "bool": "BOOL",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
}  # fmt: skip


def write_model(
    source: Path,
    additions: Mapping[str, Any],
    dtype: str | None,
    change: Change | None,
    output: Output,
    progress: Progress,
) -> dict[str, Any]:
    """Write the weights that `mlx_lm.convert` would, in some hundreds of MB of memory, and give
    the config.json that belongs to them.

    `additions` go into the source's config.json, `dtype` is one of MLX that floating weights are
    cast to as far as the family allows, and `change` quantizes.
    """
    from mlx_lm.utils import get_total_parameters

    traced = trace(source, additions)
    if dtype is not None:
        _cast(traced.model, dtype)
    codes = {name: _code(array) for name, array in _parameters(traced.model).items()}
    model, config = traced.model, traced.config
    if change is not None:
        model, config = change(model, config)
    weights = list(_weights(traced, codes, model))
    totals = {"total_parameters": get_total_parameters(model)}
    _let_go(model)

    shards = into_shards([entry for weight in weights for entry in weight.entries])
    order = [name for shard in shards for name, _, _ in shard.entries]
    places = {name: place for place, name in enumerate(order)}
    weights.sort(key=lambda weight: places[weight.entries[0][0]])
    metadata = {"format": "mlx"}
    with SafetensorsWriter(output, shards, metadata, progress, totals=totals) as out:
        write_weights(weights, out, min(MOST_WORKERS, os.cpu_count() or 1))
    return config


def _weights(traced: Traced, codes: Mapping[str, str], model: nn.Module) -> Iterator[Weight]:
    """What is to be written of a model that was traced with the dtypes `codes`, and changed."""
    after = _parameters(model)
    packed = {
        f"{path}.weight": Packing(module.group_size, module.bits, module.mode)
        for path, module in model.named_modules()
        if f"{path}.scales" in after and f"{path}.scales" not in codes
    }
    for name, array in after.items():
        if name in packed:
            stem = name.removesuffix("weight")
            names = [n for n in (name, f"{stem}scales", f"{stem}biases") if n in after]
            entries = tuple(_entry(part, after[part]) for part in names)
            yield Weight(list(traced.parts[name]), codes[name], packed[name], entries)
        elif name in codes:
            yield Weight(list(traced.parts[name]), codes[name], None, (_entry(name, array),))
        else:
            module, _, leaf = name.rpartition(".")
            known = f"{module}.weight" in packed and leaf in ("scales", "biases")
            assert known, f"`{name}` appeared when the model was quantized"


def _cast(model: nn.Module, dtype: str) -> None:
    import mlx.core as mx
    from mlx.utils import tree_map_with_path

    kind = getattr(mx, dtype)
    may_cast = getattr(model, "cast_predicate", lambda _: True)

    def cast(name: str, value: Any) -> Any:
        floating = mx.issubdtype(value.dtype, mx.floating)
        return value.astype(kind) if may_cast(name) and floating else value

    model.update(tree_map_with_path(cast, model.parameters()))


def _let_go(model: nn.Module) -> None:
    """Of all arrays that a model still holds."""
    import mlx.core as mx
    from mlx.utils import tree_map

    model.update(tree_map(lambda _: mx.array([]), model.parameters()))


def _parameters(model: nn.Module) -> dict[str, mx.array]:
    from mlx.utils import tree_flatten

    return dict(tree_flatten(model.parameters()))


def _entry(name: str, array: mx.array) -> Entry:
    return name, _code(array), tuple(array.shape)


def _code(array: mx.array) -> str:
    return CODES[str(array.dtype).rpartition(".")[2]]
