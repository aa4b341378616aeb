"""Processes without PyTorch, where only MLX or llama.cpp computes.

transformers imports PyTorch with the first tokenizer, wherever it is installed: three seconds of a
processor and 270 MB, for nothing, since its tokenizers do not compute with it.
"""

from __future__ import annotations

import sys
from typing import Any, cast

ENGINES = ("mlx", "llama-cpp-python")


def leave_out_torch() -> None:
    """Have this process do without, to its end: nobody in it may want PyTorch later. Where it is
    imported already, it stays."""
    cast(dict[str, Any], sys.modules).setdefault("torch", None)  # to Python, it is not installed
