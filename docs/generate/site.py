"""What MkDocs asks of each page that it has built: it may load nothing from another host."""

from __future__ import annotations

import re
from typing import Any

LOADED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^\"'\s>]+"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|preconnect|icon))[^>]*"
    r"\bhref=[\"']?(?:https?:)?//[^\"'\s>]+"
)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    from mkdocs.exceptions import PluginError  # what the tests do without

    if found := LOADED.search(output):
        raise PluginError(f"{page.file.src_path} loads from another host: {found[0]}")
    return output
