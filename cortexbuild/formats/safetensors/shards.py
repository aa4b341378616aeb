"""Which tensors of a model go into which of its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from .header import DTYPE_BITS, tensor_bytes

Entry = tuple[str, str, tuple[int, ...]]
"""Name, dtype, shape."""

LARGEST = 2 << 30
"""Bytes of tensors in one file, but for one that is larger by itself. What was finished of a step
that was cut off is kept by the file, so these are smaller than the 5 GB that are usual."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One file, its tensors in the order in which they lie there."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """The bytes of its tensors."""
        return sum(entry_bytes(entry) for entry in self.entries)


def into_shards(entries: Sequence[Entry], largest: int = LARGEST) -> list[Shard]:
    """Cut a model into files; neighbours of one module (a packed matrix and its scales) stay
    together. In a file those with wide numbers come first: then each tensor begins at a multiple
    of its own width, unless a module has an odd number of narrow ones."""
    groups: list[list[list[Entry]]] = [[]]
    reached = 0
    for _, found in groupby(entries, lambda entry: entry[0].rpartition(".")[0]):
        module = list(found)
        size = sum(map(entry_bytes, module))
        if groups[-1] and reached + size > largest:
            groups.append([])
            reached = 0
        groups[-1].append(module)
        reached += size
    many = len(groups)
    return [
        Shard(
            f"model-{number:05}-of-{many:05}.safetensors" if many > 1 else "model.safetensors",
            tuple(entry for module in sorted(group, key=_narrow) for entry in module),
        )
        for number, group in enumerate(groups, 1)
    ]


def index_text(shards: Sequence[Shard], totals: Mapping[str, int]) -> str:
    """The text of `model.safetensors.index.json`; `totals` are its metadata beside the size."""
    places = {name: shard.name for shard in shards for name, _, _ in shard.entries}
    size = sum(shard.size for shard in shards)
    index = {"metadata": {"total_size": size, **totals}, "weight_map": dict(sorted(places.items()))}
    return json.dumps(index, indent=4)


def entry_bytes(entry: Entry) -> int:
    name, dtype, shape = entry
    return tensor_bytes(dtype, shape, name)


def _narrow(module: Sequence[Entry]) -> int:
    return -max(DTYPE_BITS[dtype] for _, dtype, _ in module)
