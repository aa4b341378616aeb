"""Mistakes that people make, and all that they are told: messages.golden.txt has it in full.

`python tests/cli/test_messages.py` writes it anew. Then read what changed, from top to bottom.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from workspace import RECIPE, ROOT, Workspace, tiny_safetensors

GOLDEN = ROOT / "tests" / "cli" / "messages.golden.txt"
GOOD = "schema: 1\nmodels:\n  m:\n    source: path:weights\n    targets: {t: {recipe: short}}\n"


def manifest(old: str, new: str) -> Callable[[Workspace], object]:
    return lambda space: space.write("cortex.yaml", GOOD.replace(old, new, 1))


def untouched(space: Workspace) -> None:
    del space


def without(name: str) -> Callable[[Workspace], object]:
    return lambda space: (space.root / name).unlink()


SCENARIOS: tuple[tuple[str, Callable[[Workspace], object], str], ...] = (
    ("a command that is misspelt", untouched, "snyc"),
    ("an option that is misspelt", untouched, "sync --frozn"),
    ("an option's word that is misspelt", untouched, "sync --progress=jsn"),
    ("a command's part that is misspelt", untouched, "cache lss"),
    ("an argument too many", untouched, "schema one two"),
    ("an argument that is missing", untouched, "why"),
    ("a number that is none", untouched, "sync -j many"),
    ("a folder that is not there", untouched, "sync -C elsewhere"),
    ("no manifest", without("cortex.yaml"), "sync"),
    ("a manifest that is no YAML", manifest("m:", "m: ["), "sync"),
    ("a key that is misspelt", manifest("source:", "sorce:"), "sync"),
    ("a key that is missing", manifest("    source: path:weights\n", ""), "sync"),
    ("a value of the wrong kind", manifest("schema: 1", "schema: one"), "sync"),
    ("a key that stands twice", manifest("schema: 1\n", "schema: 1\nschema: 1\n"), "sync"),
    ("a recipe that is misspelt", manifest("recipe: short", "recipe: shrot"), "sync"),
    ("a setting that is misspelt", manifest("short}", "short, set: {kepe: 2}}"), "sync"),
    ("a source of no kind", manifest("path:", "pth:"), "sync"),
    ("a source that is not there", manifest("path:weights", "path:wieghts"), "sync"),
    ("a folder that is no model", manifest("path:weights", "path:recipes"), "sync"),
    ("a target that is misspelt", untouched, "sync m:tt"),
    ("a step that is not there", untouched, "sync --force quantise"),
    ("no lock, frozen", untouched, "sync --frozen"),
    ("no lock, locked", untouched, "sync --locked"),
    ("a lock that is damaged", lambda space: space.write("cortex.lock", "{"), "sync"),
    ("a target that is not built", untouched, "generate m:t hello"),
    ("not up to date", untouched, "sync --check"),
    ("a step that fails", manifest("short}", "short, set: {fail: nothing}}"), "sync -j 1"),
    ("a source that is damaged",
     lambda space: space.write("weights/model.safetensors", tiny_safetensors()[:-2]), "sync"),
    ("no remote to push to", untouched, "push"),
    ("a remote that is not there", untouched, "sync --cache nowhere:rw"),
    ("a key that is not there", untouched, "keys export me"),
    ("something that is neither", untouched, "info nothing"),
    ("replace without force", untouched, "sync --replace"),
    ("a home that is a file", lambda space: space.home.write_text(""), "sync"),
)  # fmt: skip


def said(space: Workspace, prepare: Callable[[Workspace], object], words: str) -> str:
    space.write("cortex.yaml", GOOD)
    space.write("recipes/short.yaml", RECIPE)
    space.write("weights/model.safetensors", tiny_safetensors())
    space.write("weights/config.json", json.dumps({"model_type": "llama", "text": "hello"}))
    prepare(space)
    code, text = space.outcome(*words.split())
    text = text.replace(str(space.root), "PROJECT").replace(str(space.home), "HOME")
    text = re.sub(r"\d+(\.\d+)?s\b", "N s", text)
    text = re.sub(r"runs/[0-9]{8}-[0-9]{6}-[0-9a-f]{6}", "runs/RUN", text)
    return f"$ cortexbuild {words}\n{text.rstrip()}\n[{code}]\n"


def golden() -> dict[str, str]:
    parts = GOLDEN.read_text().split("# ")[1:]
    return dict(part.split("\n", 1) for part in parts)


@pytest.mark.parametrize(("name", "prepare", "words"), SCENARIOS, ids=[s[0] for s in SCENARIOS])
def test_what_is_said_is_as_it_was_read(tmp_path, name, prepare, words):
    space = Workspace(tmp_path / "project", tmp_path / "home", inside=True)
    now = said(space, prepare, words)
    assert now.strip() == golden()[name].strip(), "`python tests/cli/test_messages.py` writes it"
    if not now.rstrip().endswith("[0]"):
        assert "\nhint: " in now, "an error says what to do"


def test_no_scenario_is_forgotten():
    assert list(golden()) == [name for name, _, _ in SCENARIOS]


if __name__ == "__main__":
    texts = []
    for name, prepare, words in SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            space = Workspace(Path(folder, "project"), Path(folder, "home"), inside=True)
            texts.append(f"# {name}\n{said(space, prepare, words)}")
    GOLDEN.write_text("\n".join(texts))
