"""Formats in a plan, and the conversions between them that a plan may put in by itself.

Formats in a plan are finer than Cortex's: what is quantized says so, since it may not be
quantized again. `gguf`, `mlx`, `safetensors` and `pytorch` hold 16 or 32 bits a weight;
`gguf-q4_k_m`, `mlx-4bit`, `gptq-4bit`, `awq-4bit` and `bnb-nf4` do not. `fp8` are the 8-bit floats
in which models are trained and published: often there is nothing better of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

from ...errors import UsageError
from ..digest import Plain
from ..ports import Tool, Toolbox

FULL_GGUF = ("F32", "FP32", "F16", "FP16", "BF16")
"""llama.cpp's names of what is not quantized, and Cortex's."""


PUBLISHED_IN_8_BITS = "fp8"


@dataclass(frozen=True, slots=True)
class Leg:
    """One tool of a route. `number` is the recipe's step it comes from; None if we put it in."""

    tool: Tool
    settings: Mapping[str, Any] = field(default_factory=dict)
    number: int | None = None


def planned_format(facts: Mapping[str, Plain]) -> str:
    """The format in a plan of a source with these facts (`formats/facts.py`)."""
    format_, method = str(facts["format"]), facts.get("method")
    if format_ == "gguf":
        stored = str(facts.get("quantization") or "")
        return "gguf" if stored.upper() in FULL_GGUF + ("NONE",) else f"gguf-{stored.lower()}"
    if not isinstance(method, Mapping):
        return format_
    name = str(method["method"])
    if name.startswith("mlx"):
        bits = f"{method.get('bits')}bit" if name == "mlx" else name.removeprefix("mlx-")
        return f"mlx-{bits}"
    if name == PUBLISHED_IN_8_BITS:
        return name
    bits_known = f"-{method['bits']}bit" if method.get("bits") and "-" not in name else ""
    return f"{name}{bits_known}{'-act' if method.get('desc_act') else ''}"


class Accepting(Protocol):
    """A tool, as far as it says which formats it takes."""

    @property
    def accepts(self) -> tuple[str, ...]: ...


def takes(tool: Accepting, format_: str) -> bool:
    return any(fnmatchcase(format_, pattern) for pattern in tool.accepts)


def is_quantized(format_: str) -> bool:
    return "-" in format_ or format_ in ("mxfp4", "compressed-tensors")


def bridge(format_: str, wanted: Sequence[str], toolbox: Toolbox) -> list[Leg]:
    """The fewest conversions from `format_` to a wanted one; none if it is one already."""
    ways: deque[tuple[str, list[Leg]]] = deque([(format_, [])])
    seen = {format_}
    while ways:
        here, legs = ways.popleft()
        if any(fnmatchcase(here, pattern) for pattern in wanted):
            return legs
        for tool in toolbox.edges():
            if takes(tool, here) and tool.makes not in seen:
                seen.add(tool.makes)
                ways.append((tool.makes, [*legs, Leg(tool)]))
    raise UsageError(
        f"there is no way from {format_} to {' or '.join(wanted)}",
        hint="`cortexbuild info` says what the source is",
    )
