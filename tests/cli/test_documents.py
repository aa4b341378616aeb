"""`--json`: every command has it, and what it prints is what its schema says."""

from __future__ import annotations

import argparse
import json
import re

import pytest
from workspace import ROOT

from cortexbuild.cli.commands import commands_for
from cortexbuild.cli.documents import DOCUMENTS, schema_of


def leaves(commands):
    for command in commands:
        yield from leaves(command.parts) if command.parts else [command]


def test_every_command_has_json():
    without = []
    for command in leaves(commands_for([])):
        parser = argparse.ArgumentParser()
        command.arguments(parser)
        if "--json" not in parser._option_string_actions:
            without.append(command.name)
    assert without == NOT_FOR_PROGRAMS


NOT_FOR_PROGRAMS = ["schema", "completion"]
"""They print a text for another program in any case."""


def test_every_document_has_a_schema_and_every_schema_a_document():
    code = "".join(p.read_text() for p in (ROOT / "cortexbuild").rglob("*.py"))
    printed = set(re.findall(r'(?:print_json|document)\(\s*f?"([^"]+)"', code))
    printed = {n.replace("{what}", w) for n in printed for w in ("export", "import")}
    assert printed == set(DOCUMENTS)


def test_what_is_printed_is_what_the_schema_says(space, document_errors):
    space.run("sync", "--json")
    for command in ("plan", "list", "status", "recipes", "why m:t", "path m:t", "report"):
        said = space.run(*command.split(), "--json").stdout
        assert json.loads(said)["schema"] == f"cortexbuild/{command.split()[0]}/1"
    space.run("cache", "ls", "--json")
    space.run("cache", "stats", "--json")
    space.run("cache", "gc", "--keep", "1GB", "--json")
    space.run("verify", "--json")
    space.run("keys", "new", "me", "--json")
    space.run("keys", "list", "--json")
    assert document_errors == []


def test_a_document_that_is_not_as_promised_is_noticed(space, document_errors, monkeypatch):
    monkeypatch.setitem(DOCUMENTS, "list/1", DOCUMENTS["keys/1"])
    space.run("list", "--json")
    assert "'keys' is a required property" in "".join(document_errors)
    document_errors.clear()


def test_a_schema_is_printed(space):
    assert json.loads(space.run("schema", "plan/1").stdout) == schema_of("plan/1")
    said = space.run("schema", "plan/9", code=2).stderr
    assert "there is no document `plan/9`" in said and "plan/1" in said


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_type_says_what_it_is(name):
    schema = schema_of(name)
    assert schema["properties"]["schema"] == {"const": f"cortexbuild/{name}"}
    for part in [schema, *schema.get("$defs", {}).values()]:
        assert part.get("description"), part["title"]


def test_what_has_a_default_is_promised_too():
    assert "notes" in schema_of("init/1")["$defs"]["Found"]["required"]
    assert "commit" not in schema_of("add/1")["required"]
