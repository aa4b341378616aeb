"""Every key of cortex.yaml, from the types that read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from schemas import Node, default_of, one_line, reached, type_of

from cortexbuild.cli.commands.describing import schema_text

INTRODUCTION = """\
# Every key of cortex.yaml

[The manifest](cortex-yaml.md) explains them with examples; here they all are, from
[the JSON Schema](cortex.schema.json) that `cortexbuild schema` prints. An editor that has that
file completes them: `# yaml-language-server: $schema=cortex.schema.json` as the first line of
cortex.yaml.
"""


def schema() -> str:
    return schema_text()


def page() -> str:
    whole = json.loads(schema_text())
    tables = {"Manifest": whole, **whole["$defs"]}
    seen = list(reached("Manifest", tables, []))
    return "\n".join([INTRODUCTION, *(line for name in seen for line in _table(name, tables))])


def _table(name: str, tables: Mapping[str, Node]) -> Iterator[str]:
    table = tables[name]
    yield from (f"## {name}", "", one_line(table.get("description", "")), "")
    yield from ("| key | is | default | |", "|---|---|---|---|")
    for key, node in table["properties"].items():
        default = "required" if key in table.get("required", ()) else default_of(node)
        says = one_line(node.get("description", ""))
        yield f"| `{key}` | {type_of(node, nulls=False)} | {default} | {says} |"
    yield ""
