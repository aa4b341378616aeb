"""The tensors of llama.cpp's converter one at a time, instead of the file that it writes.

For the process in which the converter runs (`tools/converting.py`): its gguf-py is imported here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Read: TypeAlias = Callable[[str], NDArray[np.uint8]]
"""The bytes of a tensor by its name. Each can be read once."""


@contextmanager
def instead_of_writing(take: Callable[[Path, Read], None]) -> Iterator[None]:
    """Meanwhile the converter writes an outline: its file with holes instead of tensors. Then it
    calls `take` with that and with what computes the tensors, in any order and in any thread."""
    import torch

    writer: Any = import_module("gguf.gguf_writer").GGUFWriter
    theirs = writer.write_tensors_to_file

    def write_tensors_to_file(self: Any, *, progress: bool = False) -> None:
        del progress
        self.write_ti_data_to_file()
        (file,), (tensors,) = self.fout, self.tensors
        self.write_padding(file, file.tell())
        padded = (self.ggml_pad(tensor.nbytes, self.data_alignment) for tensor in tensors.values())
        file.truncate(file.tell() + sum(padded))
        file.flush()
        outline = Path(file.name)
        torch.set_num_threads(1)  # every processor packs; those of PyTorch would wait by spinning
        take(outline, partial(_read, tensors, outline.parent, np.geterr()))

    writer.write_tensors_to_file = write_tensors_to_file
    try:
        yield
    finally:
        writer.write_tensors_to_file = theirs


def _read(tensors: Mapping[str, Any], scratch: Path, settings: Any, name: str) -> NDArray[np.uint8]:
    import torch

    found = tensors[name]
    # These settings are a thread's own, and are the converter's here as in its own thread.
    with torch.inference_mode(), np.errstate(**settings):
        tensor, found.tensor = found.tensor, None
        return _whole(tensor, scratch, found.nbytes)


def _whole(tensor: Any, scratch: Path, size: int) -> NDArray[np.uint8]:
    lazy: Any = import_module("gguf.lazy")
    if isinstance(tensor, lazy.LazyNumpyTensor):
        tensor = lazy.LazyNumpyTensor.to_eager(tensor)
    if isinstance(tensor, np.ndarray):
        return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
    with tempfile.TemporaryFile(dir=scratch) as file:  # what is in pieces can only write itself
        tensor.tofile(file)
        return np.memmap(file, np.uint8, "r", shape=(size,))
