"""recipes/*.yaml, parsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from .document import Document, Entry


class RecipeStep(Entry):
    """What to do, with which tool, with which settings."""

    do: Literal["convert", "quantize", "validate"]
    tool: str
    set: Mapping[str, Any] = {}


class LosslessEdge(Entry):
    """Sources whose very weights the target can hold: repacked by `tool`, or taken as they are."""

    source: Annotated[str, Field(alias="from", description="a format, with * and ?")]
    tool: str | None = None


class Recipe(Document):
    """A named list of steps. Data only: no conditions, no loops, no code.

    `accepts` are the formats that the first step starts from, where its tool does not say it.
    A source that `lossless` names is not converted and quantized, but kept.
    """

    schema_: Annotated[Literal[1], Field(alias="schema")]
    summary: str
    accepts: Annotated[tuple[str, ...], Field(strict=False)] = ()
    lossless: Annotated[tuple[LosslessEdge, ...], Field(strict=False)] = ()
    steps: Annotated[tuple[RecipeStep, ...], Field(min_length=1, strict=False)]
