"""ggml's functions that pack rows and write headers, by way of llama-cpp-python."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ToolError
from ..formats.gguf.types import TENSOR_TYPES
from .llama_library import library

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}
"""Of ggml's types, by name."""

VERSION_OF_PACKING = 2
"""GGML_QNT_VERSION of ggml.h."""

_SPLIT = ("split.no", "split.count", "split.tensors.count")


def pack(
    rows: NDArray[np.float32], kind: str, importance: NDArray[np.float32] | None = None
) -> NDArray[np.uint8]:
    """Rows (count, columns) in a type, as bytes (count, bytes of a row); `importance` is that of
    each column. The columns must divide by the type's block."""
    import numpy as np

    block = TENSOR_TYPES[NUMBERS[kind]]
    count, columns = rows.shape
    source = np.ascontiguousarray(rows, np.float32)
    weights = None if importance is None else np.ascontiguousarray(importance, np.float32)
    packed = np.zeros((count, columns // block.block * block.size), np.uint8)
    _functions().ggml_quantize_chunk(
        NUMBERS[kind], source.ctypes.data, packed.ctypes.data, 0, count, columns,
        None if weights is None else weights.ctypes.data,
    )  # fmt: skip
    return packed


def check_numbers(content: NDArray[Any], kind: str) -> None:
    """Raises ToolError where there is something among the numbers of that type that is none."""
    import numpy as np

    flat = np.ascontiguousarray(content)
    if not _functions().ggml_validate_row_data(NUMBERS[kind], flat.ctypes.data, flat.nbytes):
        raise ToolError(
            "it has numbers that are infinite or not numbers",
            hint="the weights of the source are damaged, or too large for 16 bits",
        )


def packed_header(outline: Path, types: Mapping[str, str], file_type: int) -> bytes:
    """The header, up to the first tensor, that llama.cpp's quantizer gives a file of these types.

    `types` has the type of each tensor of `outline`, in the order of the new file, and `file_type`
    is a number of `enum llama_ftype`. The same calls as in src/llama-quant.cpp, in its order.
    """
    api, tensors = _functions(), ctypes.c_void_p()
    source = api.gguf_init_from_file(
        str(outline).encode(), _Init(no_alloc=True, tensors=ctypes.pointer(tensors))
    )
    made = api.gguf_init_empty()
    try:
        api.gguf_set_kv(made, source)
        api.gguf_set_val_u32(made, b"general.quantization_version", VERSION_OF_PACKING)
        api.gguf_set_val_u32(made, b"general.file_type", file_type)
        for key in _SPLIT:
            api.gguf_remove_key(made, key.encode())
        for name, kind in types.items():
            api.gguf_add_tensor(made, api.ggml_get_tensor(tensors, name.encode()))
            api.gguf_set_tensor_type(made, name.encode(), NUMBERS[kind])
        header = ctypes.create_string_buffer(api.gguf_get_meta_size(made))
        api.gguf_get_meta_data(made, header)
    finally:
        api.gguf_free(made)
        api.gguf_free(source)
        api.ggml_free(tensors)
    return header.raw


class _Init(ctypes.Structure):
    """`struct gguf_init_params` of gguf.h."""

    _fields_ = [("no_alloc", ctypes.c_bool), ("tensors", ctypes.POINTER(ctypes.c_void_p))]


@cache
def _functions() -> Any:
    """Those of ggml.h and gguf.h that are called here, with their types."""
    folder = Path(library().api.__file__).parent / "lib"
    (path,) = (it for it in sorted(folder.glob("*ggml-base*")) if it.suffix in (".so", ".dylib"))
    found: Any = ctypes.CDLL(str(path))
    pointer, number, size, text = ctypes.c_void_p, ctypes.c_int64, ctypes.c_size_t, ctypes.c_char_p
    kind = ctypes.c_int
    for name, result, arguments in (
        ("ggml_quantize_chunk", size, [kind, pointer, pointer, number, number, number, pointer]),
        ("ggml_validate_row_data", ctypes.c_bool, [kind, pointer, size]),
        ("ggml_get_tensor", pointer, [pointer, text]),
        ("ggml_free", None, [pointer]),
        ("gguf_init_from_file", pointer, [text, _Init]),
        ("gguf_init_empty", pointer, []),
        ("gguf_free", None, [pointer]),
        ("gguf_set_kv", None, [pointer, pointer]),
        ("gguf_set_val_u32", None, [pointer, text, ctypes.c_uint32]),
        ("gguf_remove_key", number, [pointer, text]),
        ("gguf_add_tensor", None, [pointer, pointer]),
        ("gguf_set_tensor_type", None, [pointer, text, kind]),
        ("gguf_get_meta_size", size, [pointer]),
        ("gguf_get_meta_data", None, [pointer, pointer]),
    ):
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found
