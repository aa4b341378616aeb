"""What is known of a model before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..core.digest import Plain
from ..errors import plain

Format = Literal[
    "gguf", "mlx", "safetensors", "pytorch", "quantized", "adapter", "incomplete", "unknown"
]
"""Cortex's formats, and two more: an adapter without its base, a model without its weights."""


@dataclass(frozen=True, slots=True)
class Method:
    """How most of the weights are quantized. What nothing tells is None.

    `group_size` is None too where a whole row shares one scale.
    """

    method: str
    bits: int | None = None
    group_size: int | None = None
    symmetric: bool | None = None
    act_order: bool | None = None

    @property
    def quantization(self) -> str:
        """In Cortex's words where it has one: `int4`, `gptq`, else `mlx-3bit`, `bnb-nf4`, `fp8`."""
        if self.method in ("mlx", "torchao"):
            short = f"int{self.bits}" if self.bits in (4, 8) else None
            return short or f"{self.method}-{self.bits}bit"
        return self.method.removeprefix("mlx-")

    def to_plain(self) -> Mapping[str, Plain]:
        return {
            "method": _unicode(self.method),
            "bits": self.bits,
            "group_size": self.group_size,
            "sym": self.symmetric,
            "desc_act": self.act_order,
        }


@dataclass(frozen=True, slots=True)
class Facts:
    """The same bytes give the same facts on every machine. What nothing tells is None.

    `size_bytes` is the size of the folder as Cortex counts it. `context_length` is in tokens.
    `architecture` is the `model_type` of a config, or the architecture of a GGUF. `experts` is
    how many each layer of a mixture has. `reason` says in one sentence why the format is this
    one, each of `warnings` what is wrong with it.
    """

    name: str
    format: Format
    reason: str
    size_bytes: int
    quantization: str = "none"
    method: Method | None = None
    parameters: int | None = None
    context_length: int | None = None
    architecture: str | None = None
    experts: int | None = None
    licence: str | None = None
    base_model: str | None = None
    has_lora_adapter: bool = False
    is_fine_tuned: bool = False
    warnings: tuple[str, ...] = ()

    def to_plain(self) -> Mapping[str, Plain]:
        """For JSON, and for hashing: no floats, no absolute paths, no text that is not Unicode."""
        facts: dict[str, Plain] = {
            "name": self.name,
            "format": self.format,
            "reason": self.reason,
            "size_bytes": self.size_bytes,
            "quantization": self.quantization,
            "method": self.method.to_plain() if self.method else None,
            "parameters": self.parameters,
            "context_length": self.context_length,
            "architecture": self.architecture,
            "experts": self.experts,
            "licence": self.licence,
            "base_model": self.base_model,
            "has_lora_adapter": self.has_lora_adapter,
            "is_fine_tuned": self.is_fine_tuned,
            "warnings": [_unicode(warning) for warning in self.warnings],
        }
        return {key: _unicode(it) if isinstance(it, str) else it for key, it in facts.items()}


def _unicode(text: str) -> str:
    """File names and JSON may hold lone surrogates, which cannot be hashed, and signs that a
    terminal obeys."""
    return plain(text.encode(errors="replace").decode())
