"""Where a source is, as a manifest writes it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_LOGIN = re.compile(r"[A-Za-z]+://[^/?#]*@")


def _an_origin(text: str) -> str:
    scheme, colon, rest = text.partition(":")
    if not colon or not rest or not scheme.isalpha():
        raise ValueError(
            "a source is written `path:folder`, `hf:org/name@revision` or "
            "`https://host/model.gguf#sha256=…`"
        )
    if _LOGIN.match(text):
        raise ValueError("no user or password in a source's URL: ~/.netrc is the place for them")
    return text


Origin = Annotated[str, AfterValidator(_an_origin)]
