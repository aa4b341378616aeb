"""Texts that a manifest names: what models are tried on, and what quantization goes by."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from .document import Entry
from .origin import Origin


class Evaluation(Entry):
    """The text that built models are tried on, and how much of it."""

    text: Origin = "builtin:evaluation"
    tokens: Annotated[
        int, Field(ge=2, le=1_000_000, description="that are predicted, from its beginning")
    ] = 1024
    window: Annotated[
        int, Field(ge=2, le=65536, description="tokens that are computed together")
    ] = 512


class Calibration(Entry):
    """The text that budgets are spent by and layers are rounded for, and how much of it."""

    text: Origin = "builtin:calibration"
    tokens: Annotated[int, Field(ge=64, le=1_000_000, description="from its beginning")] = 8192
    window: Annotated[
        int, Field(ge=2, le=65536, description="tokens that are computed together")
    ] = 512


def text_alone(value: Any) -> Any:
    """`path:text.txt` is short for `{text: path:text.txt}`."""
    return {"text": value} if isinstance(value, str) else value
