"""Processes in which transformers does without PyTorch.

It imports PyTorch with the first tokenizer, and much more of it with the first configuration,
wherever it is installed: seconds of a processor and 270 MB, for nothing, since its tokenizers and
configurations do not compute with it.
"""

from __future__ import annotations

import os
import sys
from typing import Any, cast

ENGINES = ("mlx", "llama-cpp-python")
_QUIET = "TRANSFORMERS_NO_ADVISORY_WARNINGS"


def leave_out_torch() -> None:
    """Have this process do without, to its end: nobody in it may want PyTorch later. Where it is
    imported already, it stays."""
    cast(dict[str, Any], sys.modules).setdefault("torch", None)  # to Python, it is not installed


def leave_torch_to_others() -> None:
    """Have transformers do without in this process, to its end, while others compute with PyTorch.
    Where either is imported already, nothing changes."""
    modules = cast(dict[str, Any], sys.modules)
    if "torch" in modules or "transformers" in modules:
        return
    modules["torch"] = None
    os.environ[_QUIET] = "1"  # it would say that there is no PyTorch
    try:
        from transformers.utils import is_torch_available

        is_torch_available()  # asks once, and remembers
    finally:
        del modules["torch"], os.environ[_QUIET]
