"""The report as one HTML file: page.html with its style, its scripts and its data put in.

Nothing in it loads anything. Its content security policy forbids it to, and allows only the
scripts and the style that are written here, by their digests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = ("words.js", "graph.js", "chart.js", "tables.js", "main.js")


def fill(document: Mapping[str, object]) -> str:
    style = _read("page.css")
    script = "\n".join(["'use strict';", *(_read(name) for name in SCRIPTS)])
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"script-src {_sum(script)}; style-src {_sum(style)}"
    )
    parts = {
        "policy": policy,
        "title": escape(f"{document.get('project', '')}: cortexbuild report"),
        "style": style,
        "data": embedded(document),
        "script": script,
    }
    # In one pass, so that nothing that is put in is searched for places.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _read("page.html"))


def embedded(document: Mapping[str, object]) -> str:
    """JSON that no HTML parser takes for anything but text, whatever labels and errors say."""
    text = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8").strip()


def _sum(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
