"""The tensors of llama.cpp's converter one at a time, instead of the file that it writes.

For the process in which the converter runs (`tools/converting.py`): its gguf-py is imported here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .gguf import PIECE, Part, Read, in_parts


@contextmanager
def instead_of_writing(take: Callable[[Path, Read], None]) -> Iterator[None]:
    """Meanwhile the converter writes an outline: its file with holes instead of tensors. Then it
    calls `take` with that and with what computes the tensors, each once, in any order and in any
    thread."""
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
        with _by_rows():
            yield
    finally:
        writer.write_tensors_to_file = theirs


@contextmanager
def _by_rows() -> Iterator[None]:
    """Meanwhile a tensor that the converter takes as it is in the source, but for its dtype, is one
    of gguf-py's that are made some rows at a time: an embedding of 128,256 words would take 1.5 GB
    otherwise. Where that gguf-py has none of these, each is made as a whole."""
    gguf: Any = import_module("gguf")
    if not hasattr(gguf, "LazyChunkedTensor"):
        yield
        return
    import torch

    lazy: Any = import_module("conversion.base").LazyTorchTensor
    whole = lazy.numpy

    def to(self: Any, *args: Any, **settings: Any) -> Any:
        made = self.__getattr__("to")(*args, **settings)
        if (args, settings) == ((torch.float32,), {}) and _is_in_a_file(self):
            made.widened = self
        return made

    def numpy(self: Any) -> Any:
        source = vars(self).get("widened", self if _is_in_a_file(self) else None)
        is_known = self.dtype in (torch.float16, torch.float32)
        if source is None or not is_known or len(self.shape) < 2:
            return whole(self)
        step = max(1, PIECE // prod(self.shape[1:]))
        chunks = [
            partial(_rows, source, self.dtype, start, start + step)
            for start in range(0, self.shape[0], step)
        ]
        dtype = np.float16 if self.dtype == torch.float16 else np.float32
        return gguf.LazyChunkedTensor(chunks, tuple(self.shape), dtype)

    lazy.to, lazy.numpy = to, numpy
    try:
        yield
    finally:
        del lazy.to
        lazy.numpy = whole


def _is_in_a_file(tensor: Any) -> bool:
    """Whether nothing was done yet to what `from_local_tensor` gave."""
    local = import_module("gguf.utility").LocalTensor
    return len(tensor._args) == 1 and isinstance(tensor._args[0], local)


def _rows(source: Any, dtype: Any, start: int, end: int) -> NDArray[Any]:
    mapped = source._func(*source._args)  # not kept, or what was read would stay in memory
    rows: NDArray[Any] = mapped[start:end].to(dtype).numpy()
    return rows


def _read(tensors: Mapping[str, Any], scratch: Path, settings: Any, name: str) -> list[Part]:
    found = tensors[name]
    tensor, found.tensor = found.tensor, None
    chunks = getattr(tensor, "_chunks", None)
    if chunks is not None and not tensor._byteswap:
        return [partial(_quantized, one, tensor._qtype, settings) for one in chunks]
    with _as_there(settings):
        return in_parts(_whole(tensor, scratch, found.nbytes), prod(found.shape[:-1]))


def _quantized(chunk: Callable[[], NDArray[Any]], kind: Any, settings: Any) -> NDArray[np.uint8]:
    with _as_there(settings):
        content = chunk()
        if kind is not None:
            content = import_module("gguf.quants").quantize(content, kind)
        return _bytes_of(content)


@contextmanager
def _as_there(settings: Any) -> Iterator[None]:
    """These settings are a thread's own, and are the converter's here as in its own thread."""
    import torch

    with torch.inference_mode(), np.errstate(**settings):
        yield


def _whole(tensor: Any, scratch: Path, size: int) -> NDArray[np.uint8]:
    lazy: Any = import_module("gguf.lazy")
    if isinstance(tensor, lazy.LazyNumpyTensor):
        tensor = lazy.LazyNumpyTensor.to_eager(tensor)
    if isinstance(tensor, np.ndarray):
        return _bytes_of(tensor)
    with tempfile.TemporaryFile(dir=scratch) as file:  # what is in pieces can only write itself
        tensor.tofile(file)
        return np.memmap(file, np.uint8, "r", shape=(size,))


def _bytes_of(content: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(content).reshape(-1).view(np.uint8)
