"""Which of our extras brings an engine, for whoever lacks one or has another version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

EXTRAS = {
    "mlx": "mlx", "mlx-lm": "mlx", "llama-cpp-python": "gguf", "gguf": "gguf", "torch": "torch",
    "torchao": "torch", "transformers": "torch", "safetensors": "torch", "tokenizers": "torch",
    "accelerate": "torch", "bitsandbytes": "torch",
}  # fmt: skip
"""By package. `mlx` and `gguf` bring torch and transformers along."""


def install(versions: Mapping[str, str], beside: Iterable[str] = ()) -> str:
    """The command that installs these versions, with the extra for all else that is needed by a
    tool which calls them, and others `beside` them."""
    extras = ",".join(brings((*versions, *beside)))
    ours = [f"'cortexbuild[{extras}]'"] if extras else []
    return " ".join(["pip install", *ours, *(f"{n}=={version}" for n, version in versions.items())])


def brings(packages: Iterable[str]) -> list[str]:
    """The extras with which these packages come; none for those of other people's tools."""
    found = {EXTRAS[name] for name in packages if name in EXTRAS}
    return sorted(found - {"torch"} or found)
