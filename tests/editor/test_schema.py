"""Editors know cortex.yaml: our JSON Schema in the language server that they use for YAML."""

from __future__ import annotations

import shutil

import pytest
from editor.language_server import Editor, is_here
from workspace import ROOT

HEAD = "# yaml-language-server: $schema=docs/reference/cortex.schema.json\n"
GOOD = """\
schema: 1
validate: {max_kl: 0.05}
models:
  m:
    source: path:weights
    targets:
      t: {recipe: mlx-4bit}
"""

pytestmark = pytest.mark.skipif(not is_here(), reason="no YAML language server: `make editor`")


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("editor")
    (folder / "docs/reference").mkdir(parents=True)
    shutil.copy(ROOT / "docs/reference/cortex.schema.json", folder / "docs/reference")
    editor = Editor(folder)
    yield editor
    editor.end()


def test_the_shipped_manifest_is_right(editor):
    assert editor.problems("shipped.yaml", (ROOT / "cortex.yaml").read_text()) == []


@pytest.mark.parametrize(
    ("was", "becomes", "line", "said"),
    [
        ("schema: 1", "schema: 2", 2, "Value must be 1"),
        ("models:", "modls:", 4, "modls is not allowed"),
        ("source: path:weights", "sorce: path:weights", 6, "sorce is not allowed"),
        ("max_kl: 0.05", "max_kl: high", 3, "Incorrect type"),
        ("recipe: mlx-4bit", "recpie: mlx-4bit", 8, "recpie is not allowed"),
    ],
)
def test_a_mistake_is_underlined_where_it_is(editor, was, becomes, line, said):
    assert editor.problems(f"good-{line}.yaml", HEAD + GOOD) == []
    problems = editor.problems(f"wrong-{line}.yaml", HEAD + GOOD.replace(was, becomes))
    assert any(at == line and said in text for at, text in problems), problems


def test_keys_are_offered_where_they_may_stand(editor):
    text = HEAD + GOOD + "    \n"
    assert {"adapters", "revision", "licence"} & set(editor.offers("more.yaml", text, 9, 5))
    assert {"cache", "trust"} <= set(editor.offers("top.yaml", HEAD + GOOD + "\n", 9, 1))
