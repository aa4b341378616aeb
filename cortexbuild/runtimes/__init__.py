"""Find the runtime of a format: built `mlx` models are run by runtimes/mlx.py."""

from __future__ import annotations

import importlib
import pkgutil
from fnmatch import fnmatchcase
from pathlib import Path

from ..core.ports import LoadedModel, Runtime
from ..errors import ToolError


def load(format_: str, folder: Path, *, allow_code: bool) -> LoadedModel:
    """A model as its runtime has it; with its own code where that is allowed, and run."""
    runtime = find_runtime(format_)
    with_code = runtime.load_with_code if allow_code else None
    return (with_code or runtime.load)(folder)


def find_runtime(format_: str) -> Runtime:
    known = [module.name for module in pkgutil.iter_modules(__path__)]
    for name in known:
        runtime: Runtime | None = getattr(
            importlib.import_module(f"{__name__}.{name}"), "RUNTIME", None
        )
        if runtime is not None and any(fnmatchcase(format_, f) for f in runtime.formats):
            return runtime
    raise ToolError(
        f"nothing here runs {format_} models",
        hint="build a target that can be run: MLX, GGUF, or PyTorch",
    )
