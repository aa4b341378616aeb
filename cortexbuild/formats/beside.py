"""What stands beside a model's weights: copied as it is, or written anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ToolError
from .foreign import parse_object

WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "config.json")
_QUANTIZATION = ("quantization", "quantization_config")


def copy_beside(source: Path, out: Path, *, but: Sequence[str] = WEIGHTS) -> None:
    """Copy every file byte for byte, except those that one of the patterns `but` names."""
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if path.is_file() and not any(name.match(pattern) for pattern in but):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, out / name)


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json. Raises ToolError when there is none, IntegrityError for no JSON."""
    path = folder / "config.json"
    if not path.is_file():
        raise ToolError(
            "there is no config.json beside the weights",
            hint="fetch config.json too: it stands beside the weights where they were published",
        )
    return parse_object(path.read_bytes(), path.name, strict=False)


def unquantized(config: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """The config of the same model with plain weights of this dtype."""
    kept = {key: value for key, value in config.items() if key not in _QUANTIZATION}
    kept.pop("torch_dtype", None)  # the older name of the same
    return {**kept, "dtype": dtype}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
