"""Bring what libraries write in no order of their own into one, so that two runs give one file."""

from __future__ import annotations

import json
from pathlib import Path

from .safetensors.header import read_header, write_header


def settle_header(path: Path) -> None:
    """Sort the metadata of a safetensors file, in place.

    The library writes them from a hash table, whose order is another in each process, and torchao
    fills the lists in its own (`_tensor_data_names`) from a set.
    """
    header = read_header(path)
    entries = [(tensor.name, tensor.dtype, tensor.shape) for tensor in header.tensors.values()]
    metadata = {key: _settled(header.metadata[key]) for key in sorted(header.metadata)}
    settled = write_header(entries, metadata)
    assert len(settled) == header.size, "the same header in another order is as long"
    with path.open("r+b") as stream:
        stream.write(settled)


def _settled(text: str) -> str:
    if not text.startswith("{"):
        return text
    table = json.loads(text)
    if "_tensor_data_names" in table:
        table["_tensor_data_names"] = sorted(table["_tensor_data_names"])
    return json.dumps(table, sort_keys=True)
