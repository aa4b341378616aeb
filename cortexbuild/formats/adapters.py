"""Adapters: small weights to be put on a base model. Cortex's, mlx-lm's and PEFT's."""

from __future__ import annotations

from .families import size_of
from .files import ADAPTERS
from .listing import Files, read_object


def adapter_in(files: Files) -> str | None:
    """The file with an adapter's weights, if there is one."""
    return next((name for name in ADAPTERS if name in files.sizes), None)


def base_of_adapter(files: Files) -> object:
    """The base model as adapter_config.json names it: PEFT with one key, mlx-lm with another."""
    config = read_object(files, "adapter_config.json") or {}
    return config.get("base_model_name_or_path") or config.get("model")


def describe_adapter(files: Files, weights: str) -> str:
    """What it is, for people: `a LoRA adapter of rank 8, as PEFT writes it`."""
    config = read_object(files, "adapter_config.json") or {}
    kind = config.get("peft_type") or config.get("fine_tune_type") or "lora"
    name = {"lora": "LoRA", "dora": "DoRA"}.get(str(kind).lower(), str(kind)[:40])
    nested = config.get("lora_parameters")
    nested = nested if isinstance(nested, dict) else {}
    rank = size_of(config, "r", "lora_rank") or size_of(nested, "rank")
    of_rank = f" of rank {rank}" if rank else ""
    writer = {"adapter.": "Cortex", "adapters": "mlx-lm"}.get(weights[:8], "PEFT")
    return f"a {name} adapter{of_rank}, as {writer} writes it"
