"""LM Studio: `models/publisher/model/` with a GGUF file or an MLX model in it.

https://lmstudio.ai/docs/basics/import-model
"""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError
from ..store.local import LocalStore
from . import Given, How, Neighbour, Package
from .names import default_name, split_name
from .placing import give_folder


def root() -> Path:
    """As `lms` finds it: where LM Studio noted its home, its old one, or ~/.lmstudio."""
    home = Path.home()
    pointer, old = home / ".lmstudio-home-pointer", home / ".cache" / "lm-studio"
    if pointer.is_file():
        return Path(pointer.read_text().strip()) / "models"
    return (old if old.is_dir() else home / ".lmstudio") / "models"


def give(store: LocalStore, package: Package, root: Path, name: str, how: How) -> Given:
    if package.format.partition("-")[0] not in ("gguf", "mlx"):
        raise UsageError(
            f"LM Studio runs GGUF and MLX models, and {package.target} is {package.format}",
            hint="add a target of one of these formats, as `gguf-q4_k_m` or `mlx-4bit`",
        )
    publisher, model = split_name(name)
    path = root / publisher / model
    return Given(name, path, give_folder(store, package, path, how))


NEIGHBOUR = Neighbour("lmstudio", root, default_name, give)
