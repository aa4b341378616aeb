"""What an MLX model consists of on the disk: three tensors for a packed matrix, and a config."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from numpy.typing import NDArray

from .bridge import bridge
from .packing.floats import FloatName
from .packing.mlx import Affine
from .safetensors.shards import Entry
from .safetensors.stream import SafetensorsWriter
from .safetensors.tensors import CODES


@dataclass(frozen=True, slots=True)
class Packing:
    """How a matrix of this shape, or a stack of them, is packed. `dtype` is that of the scales."""

    shape: tuple[int, ...]
    bits: int
    group_size: int
    dtype: FloatName

    def entries(self, name: str) -> list[Entry]:
        """The tensors of a matrix whose name ends in `.weight`."""
        rows, columns = self.shape[:-1], self.shape[-1]
        forms = [("U32", columns * self.bits // 32)]
        forms += [(CODES[self.dtype], columns // self.group_size)] * 2
        parts = zip(_parts(name), forms, strict=True)
        return [(part, dtype, (*rows, width)) for part, (dtype, width) in parts]


def append(out: SafetensorsWriter, name: str, found: Affine | NDArray[Any]) -> None:
    """The next rows of a matrix, packed or plain."""
    if isinstance(found, Affine):
        for part, numbers in zip(
            _parts(name), (found.weight, found.scales, found.biases), strict=True
        ):
            out.append(part, numbers)
    else:
        out.append(name, found)


def mlx_config(
    config: Mapping[str, Any], packed: Mapping[str, Packing], plain: Iterable[str]
) -> dict[str, Any]:
    """The config.json of a model with these matrices, by the names of their weights.

    Which settings a matrix has is written down where they are not those of most weights, and
    `false` for one that is plain.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    for it in packed.values():
        sizes[it.bits, it.group_size] += prod(it.shape)
    bits, group_size = max(sizes, key=lambda settings: (sizes[settings], settings))
    quantization: dict[str, Any] = {"group_size": group_size, "bits": bits, "mode": "affine"}
    for name, it in packed.items():
        if (it.bits, it.group_size) != (bits, group_size):
            own = {"group_size": it.group_size, "bits": it.bits}
            quantization[name.removesuffix(".weight")] = own
    quantization |= {name.removesuffix(".weight"): False for name in plain}
    # mlx-lm reads the first, and the Hub's pages the second.
    both = {"quantization": quantization, "quantization_config": quantization}
    return {**config, **bridge(config), **both}


def _parts(name: str) -> tuple[str, str, str]:
    module = name.removesuffix(".weight")
    return name, f"{module}.scales", f"{module}.biases"
