"""Amounts of memory and of storage, as people write them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def in_bytes(value: Any) -> Any:
    """`8GiB` and `16 GB` as a number of bytes. Raises ValueError for other texts; what is no text
    is given back as it is."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?\s*", value)
    if found is None:
        raise ValueError("an amount of memory is written like `8GiB`")
    unit = found[2] or ""
    base = 1024 if unit.endswith("i") else 1000
    return int(float(found[1]) * base ** (" KMGT".index(unit[:1]) if unit else 0))


Bytes = Annotated[int, Field(ge=0), BeforeValidator(in_bytes, json_schema_input_type=str | int)]
"""A number of bytes, or text such as `8GiB`."""
