"""Models that other programs keep on this machine, each with the source that names it.

Only names of files are looked at here, and Ollama's small manifests. Whether a model is whole, and
what it is, its headers say.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from .cortex import cortex_models
from .found import Found
from .hub import hub_models
from .lm_studio import lm_studio_models
from .ollama import ollama_models

__all__ = [
    "Found", "cortex_models", "found_models", "hub_cache", "hub_models", "lm_studio_homes",
    "lm_studio_models", "ollama_homes", "ollama_models",
]  # fmt: skip


def found_models(cortex: Path, user: Path, env: Mapping[str, str]) -> Iterator[Found]:
    """All of them: under CORTEX_HOME, in the Hub's cache, and those of Ollama and LM Studio."""
    yield from cortex_models(cortex)
    yield from hub_models(hub_cache(user, env))
    for home in ollama_homes(user, env):
        yield from ollama_models(home)
    for home in lm_studio_homes(user):
        yield from lm_studio_models(home)


def hub_cache(user: Path, env: Mapping[str, str]) -> Path:
    """As huggingface-hub finds it, without a second to import that."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if chosen := env.get(name):
            return Path(os.path.expandvars(chosen)).expanduser()
    caches = env.get("XDG_CACHE_HOME") or user / ".cache"
    return Path(env.get("HF_HOME") or Path(caches, "huggingface")).expanduser() / "hub"


def ollama_homes(user: Path, env: Mapping[str, str]) -> list[Path]:
    if chosen := env.get("OLLAMA_MODELS"):
        return [Path(chosen).expanduser()]
    return [user / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")]


def lm_studio_homes(user: Path) -> list[Path]:
    return [user / ".lmstudio" / "models", user / ".cache" / "lm-studio" / "models"]
