"""Where a source is, as a manifest writes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


def _an_origin(text: str) -> str:
    scheme, colon, rest = text.partition(":")
    if not colon or not rest or not scheme.isalpha():
        raise ValueError(
            "a source is written `path:folder`, `hf:org/name@revision` or "
            "`https://host/model.gguf#sha256=…`"
        )
    return text


Origin = Annotated[str, AfterValidator(_an_origin)]
