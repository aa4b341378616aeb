"""Every document that a command prints with `--json`, from its JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from schemas import Node, one_line, reached, type_of

from cortexbuild.cli.documents import DOCUMENTS, schema_of

INTRODUCTION = """\
# JSON documents

With `--json` a command prints one document on stdout, and nothing else there; its key `schema` says
which, as `cortexbuild/plan/1`. Keys may be added to a version; one that goes, or means something
else, makes a new version. `cortexbuild schema plan/1` prints the JSON Schema of a document, and all
that follows here is from those. `report --sbom` prints CycloneDX, and `provenance` an in-toto
statement: both say themselves what they are.

A command that fails prints what it knows, and tells the rest on stderr and by its
[exit code](exit-codes.md). `serve`, `worker` and `scheduler` print theirs when they are ready,
`watch` one after each round.
"""
PRINTED: Mapping[str, tuple[str, ...]] = {
    "sync/1": ("sync", "pull"),
    "lock/1": ("lock", "diff"),
    "rebuild/1": ("verify --rebuild",),
    "recipes/1": ("recipes",),
    "plan/1": ("plan", "sync --dry-run", "sync --check"),
    "why/1": ("why",),
    "list/1": ("list",),
    "path/1": ("path",),
    "info/1": ("info",),
    "status/1": ("status",),
    "diff/1": ("diff",),
    "report/1": ("report",),
    "generate/1": ("generate",),
    "compare/1": ("compare",),
    "init/1": ("init",),
    "add/1": ("add",),
    "remove/1": ("remove",),
    "import/1": ("import",),
    "outdated/1": ("outdated",),
    "doctor/1": ("doctor",),
    "watch/1": ("watch",),
    "log/1": ("log",),
    "push/1": ("push",),
    "bundle-export/1": ("bundle export",),
    "bundle-import/1": ("bundle import",),
    "keys/1": ("keys list",),
    "key/1": ("keys new", "keys trust", "keys export"),
    "cluster/1": ("cluster workers",),
    "export/1": ("export",),
    "push-to-hub/1": ("push-to-hub",),
    "serve/1": ("serve",),
    "listening/1": ("worker", "scheduler"),
    "certificates/1": ("cluster certificates",),
    "verify/1": ("verify", "cache verify"),
    "cache-ls/1": ("cache ls",),
    "cache-stats/1": ("cache stats",),
    "gc/1": ("cache gc",),
    "cache-ls-remote/1": ("cache ls --remote",),
    "cache-stats-remote/1": ("cache stats --remote",),
    "gc-remote/1": ("cache gc --remote",),
    "verify-remote/1": ("cache verify --remote",),
}
"""Which commands print each, which the types cannot say. A test compares it with the code."""


def page() -> str:
    schemas = {name: schema_of(name) for name in DOCUMENTS}
    lines = [INTRODUCTION, "| document | printed by | |", "|---|---|---|"]
    for name, schema in schemas.items():
        says = one_line(schema["description"])
        lines.append(f"| [`{name}`](#{name.replace('/', '')}) | {_commands(name)} | {says} |")
    parts: dict[str, Node] = {}
    for name, schema in schemas.items():
        lines += ["", f"## {name}", "", f"Printed by {_commands(name)}.", "", *_table(schema)]
        tables = {"": schema, **schema.get("$defs", {})}
        parts |= {part: tables[part] for part in list(reached("", tables, []))[1:]}
    lines += ["", "## Parts", "", "What the documents are made of, by name."]
    for name, part in sorted(parts.items()):
        lines += ["", f"### {name}", "", *_table(part)]
    return "\n".join([*lines, ""])


def _commands(name: str) -> str:
    return ", ".join(f"`{command} --json`" for command in PRINTED[name])


def _table(node: Node) -> Iterator[str]:
    if "properties" not in node:
        yield type_of(node, nulls=True) + "."
        return
    if said := node.get("description"):
        yield from (one_line(said), "")
    yield from ("| key | is |", "|---|---|")
    for key, one in node["properties"].items():
        may = "" if key in node.get("required", ()) else ", or left out"
        yield f"| `{key}` | {type_of(one, nulls=True)}{may} |"
