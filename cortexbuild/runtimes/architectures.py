"""Which architectures an engine has code of its own for: read from its files, not imported."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def in_transformers(model_type: str) -> bool:
    """So too where transformers is not installed, and cannot be asked."""
    known = _transformers()
    return known is None or model_type in known


def in_mlx_lm(model_type: str) -> bool:
    known = _mlx_lm()
    return known is None or model_type in known


@cache
def _transformers() -> frozenset[str] | None:
    """`CONFIG_MAPPING_NAMES`: pairs such as `("llama", "LlamaConfig")`, in several files."""
    folder = _folder("transformers")
    if folder is None:
        return None
    texts = (path.read_text() for path in (folder / "models" / "auto").glob("*auto*.py"))
    pairs = re.compile(r'"([\w.-]+)"[,:] "\w+Config"')
    return frozenset(name for text in texts for name in pairs.findall(text))


@cache
def _mlx_lm() -> frozenset[str] | None:
    """A module for each, and `MODEL_REMAPPING`, with pairs such as `"mistral": "llama"`."""
    folder = _folder("mlx_lm")
    if folder is None:
        return None
    renamed = re.findall(r'^    "([\w.-]+)": "\w+",', (folder / "utils.py").read_text(), re.M)
    return frozenset((*renamed, *(path.stem for path in (folder / "models").glob("*.py"))))


def _folder(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None
