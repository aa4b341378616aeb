"""What this machine is, as far as it decides what to build models into."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from . import machine

ENGINES: Mapping[str, str] = {"mlx": "mlx_lm", "gguf": "llama_cpp", "torch": "torch"}
"""Extras of cortexbuild, and the module by which one knows that its engine is installed."""
FIRST: Mapping[str, str] = {"mlx": "mlx-4bit", "gguf": "gguf-q4_k_m", "torch": "int8"}
"""The recipe to begin with, of each engine."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """`engines` are those of ENGINES that are installed."""

    chip: str
    memory: int
    accelerator: str
    engines: tuple[str, ...]

    @property
    def is_apple(self) -> bool:
        return self.accelerator == "Metal"


def look() -> Hardware:
    chip = f"{platform.machine() or 'unknown'}, {os.cpu_count() or 1} cores"
    accelerator = "none"
    if machine.accelerators():
        accelerator = "Metal" if sys.platform == "darwin" else "CUDA"
    installed = tuple(e for e, module in ENGINES.items() if importlib.util.find_spec(module))
    system = {"darwin": "macOS"}.get(sys.platform, platform.system())
    return Hardware(f"{system} on {chip}", machine.memory(), accelerator, installed)


def usual_recipes(found: Hardware) -> tuple[str, ...]:
    """Recipes to try for a model, the best for this machine first: those of installed engines,
    MLX on Apple's chips and GGUF elsewhere."""
    order = ("mlx", "gguf", "torch") if found.is_apple else ("gguf", "mlx", "torch")
    first = sorted(order, key=lambda engine: engine not in found.engines)
    return tuple(FIRST[engine] for engine in first)
