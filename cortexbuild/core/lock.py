"""Every name in the manifest, pinned: sources to content, tools to versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .digest import Plain, Tree
from .step import ToolId


@dataclass(frozen=True, slots=True)
class Pinned:
    """A source as it was when locked: what its bytes are, before a byte is brought here.

    `facts` are what detection found in its headers (`formats/facts.py`), as plain values.
    """

    origin: str
    tree: Tree
    facts: Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class Lock:
    """`sources` by origin as the manifest writes it, `tools` by the name `tool_name` gives."""

    sources: Mapping[str, Pinned]
    tools: Mapping[str, ToolId]
