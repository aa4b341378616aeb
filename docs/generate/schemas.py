"""A JSON Schema as tables for people: one for each type, with links between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Node = Mapping[str, Any]
WORDS = {
    "integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"
}  # fmt: skip


def reached(name: str, tables: Mapping[str, Node], seen: list[str]) -> Iterator[str]:
    """The types in the order in which a reader meets them."""
    if name in seen:
        return
    seen.append(name)
    yield name
    for node in tables[name].get("properties", {}).values():
        for other in _named(node):
            yield from reached(other, tables, seen)


def _named(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        for part in node.values():
            yield from _named(part)
    elif isinstance(node, list):
        for part in node:
            yield from _named(part)


def type_of(node: Node, *, nulls: bool) -> str:
    """In words. Without `nulls`, nothing is said of null."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in node:
        ones = [one for one in node["anyOf"] if nulls or one.get("type") != "null"]
        return " or ".join(dict.fromkeys(type_of(one, nulls=nulls) for one in ones))
    if values := node.get("enum") or ([node["const"]] if "const" in node else []):
        return ", ".join(f"`{value}`" for value in values)
    if parts := node.get("prefixItems"):
        return f"list of {', '.join(type_of(part, nulls=nulls) for part in parts)}"
    if node.get("type") == "array":
        return f"list of {type_of(node.get('items', {}), nulls=nulls)}"
    if node.get("type") == "object":
        inner = node.get("additionalProperties")
        return f"table of {type_of(inner, nulls=nulls)}" if isinstance(inner, dict) else "table"
    return "null" if node.get("type") == "null" else WORDS.get(node.get("type", ""), "any")


def default_of(node: Node) -> str:
    default = node.get("default")
    return "" if default in (None, "", [], {}) or isinstance(default, dict) else (
        f"`{json.dumps(default)}`"
    )  # fmt: skip


def one_line(text: str) -> str:
    """As it may stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
