"""Settings of a tool: what a recipe may `set:`, checked and brought to one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from .digest import Plain, plain_number


class Params(BaseModel):
    """A tool's settings. The fields of a subclass are what a recipe may `set:`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def plain(self) -> Mapping[str, Plain]:
        """The settings after defaults, as they enter the key."""
        return {name: _plain(value) for name, value in self.model_dump().items()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Plain]) -> Self:
        """The settings of a step: what `plain` gave, with its numbers read back."""
        return cls.model_validate(dict(plain), strict=False)


def _plain(value: Any) -> Plain:
    if isinstance(value, float):
        return plain_number(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    checked: Plain = value
    return checked
