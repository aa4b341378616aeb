"""The numbers that GGUF files use for tensor types and for file types. Facts, and no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TensorType:
    """`block` values are stored together in `size` bytes."""

    name: str
    block: int
    size: int


@dataclass(frozen=True, slots=True)
class FileType:
    """`types` are those that most weights of such a file have, where nothing keeps them from it."""

    name: str
    types: tuple[str, ...]


TENSOR_TYPES: Mapping[int, TensorType] = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    9: TensorType("Q8_1", 32, 40),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    15: TensorType("Q8_K", 256, 292),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    24: TensorType("I8", 1, 1),
    25: TensorType("I16", 1, 2),
    26: TensorType("I32", 1, 4),
    27: TensorType("I64", 1, 8),
    28: TensorType("F64", 1, 8),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    39: TensorType("MXFP4", 32, 17),
    40: TensorType("NVFP4", 64, 36),
    41: TensorType("Q1_0", 128, 18),
}
"""From `enum ggml_type` in ggml.h and GGML_QUANT_SIZES in gguf-py (0.19).

The numbers left out were types once and no longer are; llama.cpp refuses them too.
"""

FILE_TYPES: Mapping[int, FileType] = {
    0: FileType("ALL_F32", ("F32",)),
    1: FileType("MOSTLY_F16", ("F16",)),
    2: FileType("MOSTLY_Q4_0", ("Q4_0",)),
    3: FileType("MOSTLY_Q4_1", ("Q4_1",)),
    7: FileType("MOSTLY_Q8_0", ("Q8_0",)),
    8: FileType("MOSTLY_Q5_0", ("Q5_0",)),
    9: FileType("MOSTLY_Q5_1", ("Q5_1",)),
    10: FileType("MOSTLY_Q2_K", ("Q2_K",)),
    11: FileType("MOSTLY_Q3_K_S", ("Q3_K",)),
    12: FileType("MOSTLY_Q3_K_M", ("Q3_K",)),
    13: FileType("MOSTLY_Q3_K_L", ("Q3_K",)),
    14: FileType("MOSTLY_Q4_K_S", ("Q4_K",)),
    15: FileType("MOSTLY_Q4_K_M", ("Q4_K",)),
    16: FileType("MOSTLY_Q5_K_S", ("Q5_K",)),
    17: FileType("MOSTLY_Q5_K_M", ("Q5_K",)),
    18: FileType("MOSTLY_Q6_K", ("Q6_K",)),
    19: FileType("MOSTLY_IQ2_XXS", ("IQ2_XXS",)),
    20: FileType("MOSTLY_IQ2_XS", ("IQ2_XS",)),
    21: FileType("MOSTLY_Q2_K_S", ("Q2_K",)),
    22: FileType("MOSTLY_IQ3_XS", ("IQ3_S", "IQ3_XXS")),
    23: FileType("MOSTLY_IQ3_XXS", ("IQ3_XXS",)),
    24: FileType("MOSTLY_IQ1_S", ("IQ1_S",)),
    25: FileType("MOSTLY_IQ4_NL", ("IQ4_NL",)),
    26: FileType("MOSTLY_IQ3_S", ("IQ3_S",)),
    27: FileType("MOSTLY_IQ3_M", ("IQ3_S",)),
    28: FileType("MOSTLY_IQ2_S", ("IQ2_XS",)),
    29: FileType("MOSTLY_IQ2_M", ("IQ2_S",)),
    30: FileType("MOSTLY_IQ4_XS", ("IQ4_XS",)),
    31: FileType("MOSTLY_IQ1_M", ("IQ1_M",)),
    32: FileType("MOSTLY_BF16", ("BF16",)),
    36: FileType("MOSTLY_TQ1_0", ("TQ1_0",)),
    37: FileType("MOSTLY_TQ2_0", ("TQ2_0",)),
    38: FileType("MOSTLY_MXFP4_MOE", ("MXFP4",)),
    39: FileType("MOSTLY_NVFP4", ("NVFP4",)),
    40: FileType("MOSTLY_Q1_0", ("Q1_0",)),
}
"""`general.file_type`: from `enum llama_ftype` in llama.h and LlamaFileType in gguf-py (0.19).

The types are those that llama.cpp's quantizer starts from (`llama_ftype_get_default_type`), and
for IQ3_XS also the one that it gives to most of the feed-forward weights.
"""

GUESSED_FILE_TYPE = 1024
"""The bit that llama.cpp sets when it guessed the file type (LLAMA_FTYPE_GUESSED)."""

_SMALL = ("IQ4_NL", "Q4_0")

FALLBACK: Mapping[str, tuple[str, ...]] = {
    "Q4_K": ("Q5_0",),
    "Q5_K": ("Q5_1",),
    "Q6_K": ("Q8_0",),
    "TQ1_0": ("Q4_0",),
    "TQ2_0": ("Q4_0",),
    "Q2_K": _SMALL,
    "Q3_K": _SMALL,
    "IQ1_S": _SMALL,
    "IQ1_M": _SMALL,
    "IQ2_XXS": _SMALL,
    "IQ2_XS": _SMALL,
    "IQ2_S": _SMALL,
    "IQ3_XXS": _SMALL,
    "IQ3_S": _SMALL,
    "IQ4_XS": _SMALL,
}
"""What llama.cpp's quantizer takes instead for rows that are no multiple of 256 values wide.

Which of two depends on its version; seen by quantizing a narrow model with llama-cpp-python 0.3.36.
"""
