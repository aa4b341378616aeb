"""ggml's quantization of single rows, by way of llama-cpp-python."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formats.gguf.types import TENSOR_TYPES
from ..runtimes.llama_library import library

NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}
"""Of ggml's types, by name."""


def there_and_back(
    rows: NDArray[np.float32], importance: NDArray[np.float32], kind: str
) -> NDArray[np.float32]:
    """What rows (count, columns) become in a type, with the importance of the columns.

    The columns must divide by the type's block.
    """
    import gguf

    block = TENSOR_TYPES[NUMBERS[kind]]
    count, columns = rows.shape
    source = np.ascontiguousarray(rows, np.float32)
    weights = np.ascontiguousarray(importance, np.float32)
    packed = np.zeros((count, columns // block.block * block.size), np.uint8)
    _quantize()(
        NUMBERS[kind], source.ctypes.data, packed.ctypes.data, 0, count, columns,
        weights.ctypes.data,
    )  # fmt: skip
    found: NDArray[np.float32] = gguf.dequantize(packed, gguf.GGMLQuantizationType(NUMBERS[kind]))
    return found


@cache
def _quantize() -> Any:
    """`ggml_quantize_chunk` of ggml.h."""
    folder = Path(library().api.__file__).parent / "lib"
    (path,) = (it for it in sorted(folder.glob("*ggml-base*")) if it.suffix in (".so", ".dylib"))
    function = ctypes.CDLL(str(path)).ggml_quantize_chunk
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    function.argtypes = [ctypes.c_int, pointer, pointer, number, number, number, pointer]
    function.restype = ctypes.c_size_t
    return function
