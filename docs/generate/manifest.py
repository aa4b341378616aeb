"""Every key of cortex.yaml, from the types that read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cortexbuild.cli.commands.starting import schema_text

INTRODUCTION = """\
# Every key of cortex.yaml

[The manifest](cortex-yaml.md) explains them with examples; here they all are, from
[the JSON Schema](cortex.schema.json) that `cortexbuild schema` prints. An editor that has that
file completes them: `# yaml-language-server: $schema=cortex.schema.json` as the first line of
cortex.yaml.
"""
Node = Mapping[str, Any]


def schema() -> str:
    return schema_text()


def page() -> str:
    whole = json.loads(schema_text())
    tables = {"Manifest": whole, **whole["$defs"]}
    seen = list(_reached("Manifest", tables, []))
    return "\n".join([INTRODUCTION, *(line for name in seen for line in _table(name, tables))])


def _reached(name: str, tables: Mapping[str, Node], seen: list[str]) -> Iterator[str]:
    """The tables in the order in which a reader meets them."""
    if name in seen:
        return
    seen.append(name)
    yield name
    for node in tables[name].get("properties", {}).values():
        for other in _named(node):
            yield from _reached(other, tables, seen)


def _named(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        for part in node.values():
            yield from _named(part)
    elif isinstance(node, list):
        for part in node:
            yield from _named(part)


def _table(name: str, tables: Mapping[str, Node]) -> Iterator[str]:
    table = tables[name]
    yield from (f"## {name}", "", _one_line(table.get("description", "")), "")
    yield from ("| key | is | default | |", "|---|---|---|---|")
    for key, node in table["properties"].items():
        default = "required" if key in table.get("required", ()) else _default(node)
        says = _one_line(node.get("description", ""))
        yield f"| `{key}` | {_type(node)} | {default} | {says} |"
    yield ""


def _type(node: Node) -> str:
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in node:
        kinds = [_type(one) for one in node["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if values := node.get("enum") or ([node["const"]] if "const" in node else []):
        return ", ".join(f"`{value}`" for value in values)
    if node.get("type") == "array":
        return f"list of {_type(node.get('items', {}))}"
    if node.get("type") == "object":
        inner = node.get("additionalProperties")
        return f"table of {_type(inner)}" if isinstance(inner, dict) else "table"
    words = {"integer": "whole number", "number": "number", "boolean": "true or false"}
    return words.get(node.get("type", ""), "text" if node.get("type") == "string" else "any")


def _default(node: Node) -> str:
    default = node.get("default")
    return "" if default in (None, "", [], {}) or isinstance(default, dict) else (
        f"`{json.dumps(default)}`"
    )  # fmt: skip


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
