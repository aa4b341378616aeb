"""The reference is what the code says."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from workspace import ROOT

import cortexbuild
from cortexbuild import processes
from cortexbuild.cli.commands import MODULES
from cortexbuild.cli.documents import DOCUMENTS
from cortexbuild.cli.examples import EXAMPLES
from cortexbuild.cli.main import BUG, INTERRUPTED
from cortexbuild.cli.parser import every_command
from cortexbuild.errors import CortexError

GENERATE = ROOT / "docs" / "generate"
PACKAGE = Path(cortexbuild.__file__).parent
VARIABLE = re.compile(r"(CORTEX|HF|OLLAMA|AWS|AZURE|GOOGLE|PIP)_[A-Z0-9_]+|NETRC|NO_COLOR|TERM")


@pytest.fixture(scope="module")
def tables():
    return runpy.run_path(str(GENERATE / "tables.py"))


def test_generated_pages_are_what_the_code_says():
    done = subprocess.run(
        [sys.executable, GENERATE, "--check"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, f"run `make reference`: {done.stdout}{done.stderr}"


def test_every_command_has_examples_and_no_other():
    without = set(every_command()) - set(EXAMPLES)
    assert not without, "write an example of each into cortexbuild/cli/examples.py"
    assert not set(EXAMPLES) - set(every_command())
    for name, lines in EXAMPLES.items():
        for line, what in lines:
            assert line.startswith(f"cortexbuild {name}"), line
            assert what and "#" not in line


def test_each_decision_has_a_number_of_its_own():
    pages = sorted((ROOT / "docs" / "internals" / "decisions").glob("0*.md"))
    numbers = [int(path.name.partition("-")[0]) for path in pages]
    assert numbers == list(range(1, len(pages) + 1)), "the next one has the next number"
    assert all(p.read_text().startswith(f"# {n}. ") for n, p in zip(numbers, pages, strict=True))


def test_documents_are_printed_by_the_commands_that_are_said_to(monkeypatch):
    monkeypatch.syspath_prepend(GENERATE)
    printed = runpy.run_path(str(GENERATE / "documents.py"))["PRINTED"]
    assert list(printed) == list(DOCUMENTS)
    known, told = every_command(), set()
    for name, lines in printed.items():
        for line in lines:
            command = max((one for one in known if f"{line} ".startswith(f"{one} ")), key=len)
            options = {"--json", *line.removeprefix(command).split()}
            assert options <= set(known[command]._option_string_actions), f"{name}: {line}"
            told.add(command)
    assert set(known) - told == {"schema", "completion", "provenance"}, "they have forms of others"
    for module, commands in MODULES.items():  # and each by one whose module has its name
        code = (PACKAGE / "cli" / "commands" / f"{module}.py").read_text()
        for name in set(re.findall(r'"([a-z-]+/\d+)"', code)) & set(DOCUMENTS):
            heads = {line.partition(" ")[0] for line in printed[name]}
            assert heads & set(commands), f"{name} is printed by {module}.py"


def _kinds(kind):
    return {kind.exit_code}.union(*map(_kinds, kind.__subclasses__()))


def test_the_exit_codes_are_those_of_the_errors(tables):
    assert set(tables["EXIT_CODES"]) == {0, BUG, INTERRUPTED} | _kinds(CortexError)


@pytest.mark.parametrize(
    ("html", "loads"),
    [
        ('<script src="https://unpkg.com/iframe-worker/shim"></script>', True),
        ('<link rel="stylesheet" href="//fonts.googleapis.com/css">', True),
        ("<link href=https://fonts.gstatic.com rel=preconnect>", True),
        ('<img alt="a" src="http://counter.example/1.png">', True),
        ('<a href="https://arxiv.org/abs/1503.05671">a paper</a>', False),
        ('<link rel="canonical" href="https://docs.example/index.html">', False),
        ('<img src="pictures/sync.svg"><script src="assets/bundle.js"></script>', False),
    ],
)
def test_a_page_of_the_site_may_load_nothing_from_another_host(html, loads):
    site = runpy.run_path(str(GENERATE / "site.py"))
    assert bool(site["LOADED"].search(html)) == loads


def test_every_variable_that_is_read_is_documented_and_no_other(tables):
    """What the code reads is found in its texts: a name that stands alone, or with its prefix."""
    texts = {
        node.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    known = set(
        re.findall(r"`([A-Z][A-Z_]+[A-Z](?:_<NAME>_[A-Z]+)?_?)…?`", "".join(tables["VARIABLES"]))
    )
    whole = {name for name in known if not name.endswith("_") and "<" not in name}
    prefixes = tuple(name.partition("<")[0] for name in known - whole)
    passed_on = {*processes.NAMES["network"], *processes.QUIET, *processes.OFFLINE}
    set_here = {"HF_MODULES_CACHE"}  # for a library, in a process of ours
    for text in sorted(texts - passed_on - set_here):
        if VARIABLE.fullmatch(text):
            assert text in whole or text.startswith(prefixes), f"{text} is in no table"
    for name in whole:
        assert any(re.search(rf"\b{name}\b", text) for text in texts), f"nothing reads {name}"
    for prefix in prefixes:
        assert any(prefix in text for text in texts), f"nothing reads {prefix}"
