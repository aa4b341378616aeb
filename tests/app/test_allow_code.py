"""Code that a model brings: only where the manifest allows it, only in a step's process, and then
it is an ingredient. `cortexbuild_own` stands for an engine; tests/hostile/test_code.py has a real
one."""

from __future__ import annotations

import json
import os

import pytest
from workspace import Workspace

from cortexbuild.app.generate import Built, load_built
from cortexbuild.cli.python import open_manifest
from cortexbuild.core.lock import NO_FILES
from cortexbuild.errors import ToolError

RECIPE = "schema: 1\nsummary: loads\nsteps: [{do: convert, tool: own}]\n"
CODE = """\
import json, os, socket
try:
    asked = socket.create_connection(("127.0.0.1", 9), timeout=1)
except OSError as error:
    asked = type(error).__name__
mark = {"process": os.getpid(), "parent": os.getppid(), "environment": sorted(os.environ),
        "changed": hasattr(json, "changed"), "network": asked}
json.changed = True
with open(CANARY, "a") as file:
    print(json.dumps(mark), file=file)
"""
ASKS = {"AutoModelForCausalLM": "modeling_own.Model"}


@pytest.fixture
def coded(space: Workspace) -> Workspace:
    space.write("recipes/own.yaml", RECIPE)
    space.write("weights/modeling_own.py", f"CANARY = {str(space.home) + '.canary'!r}\n{CODE}")
    describe(space, "own")
    name(space)
    return space


def describe(space: Workspace, architecture: str, **more: object) -> None:
    config = {"model_type": architecture, "text": "hello", "auto_map": ASKS, **more}
    space.write("weights/config.json", json.dumps(config))


def name(space: Workspace, *more: str, targets: str = "own") -> None:
    lines = [
        "schema: 1",
        "models:",
        "  m:",
        "    source: path:weights",
        f"    targets: [{targets}]",
    ]
    space.write("cortex.yaml", "\n".join([*lines, *(f"    {line}" for line in more), ""]))


def marks(space: Workspace) -> list[dict]:
    file = space.home.with_name(space.home.name + ".canary")
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_without_leave_it_is_refused_before_anything_is_brought(coded):
    said = coded.run("sync", code=2).stderr
    assert "cortex.yaml:3:3: m:own: `own` is an architecture of the model's own" in said
    assert "(modeling_own.py), and that is not run" in said and "`allow_code: true`" in said
    assert coded.blobs() == [] and marks(coded) == []
    describe(coded, "llama")
    assert coded.sync() == ["fetch", "detect", "convert"]
    assert marks(coded) == [] and not list(coded.home.rglob("*.py")), "nor is it even fetched"


def test_with_leave_it_runs_in_the_process_of_a_step_alone_with_no_credentials_and_no_network(
    coded, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    name(coded, "allow_code: true")
    plan = json.loads(coded.run("plan", "--json").stdout)
    assert [step["code"] for step in plan["steps"]] == [False, False, True]
    said = coded.run("plan").stdout
    assert "m:own: runs code that the model brings (modeling_own.py)" in said
    assert coded.sync() == ["fetch", "detect", "convert"]
    (mark,) = marks(coded)
    assert os.getpid() == mark["parent"] != mark["process"]
    assert "HF_TOKEN" not in mark["environment"] and "HF_HUB_OFFLINE" in mark["environment"]
    assert mark["network"] == "PermissionError"
    assert coded.sync() == [] and len(marks(coded)) == 1


def test_leave_is_an_ingredient_and_so_is_the_code(coded):
    describe(coded, "llama")
    name(coded)
    coded.sync()
    name(coded, "allow_code: true")
    assert "code: nothing -> True" in coded.run("why", "m:own").stdout
    assert "convert" in coded.sync()
    coded.write(
        "weights/modeling_own.py", (coded.root / "weights/modeling_own.py").read_text() + "#"
    )
    assert "convert" in coded.sync()
    name(coded)
    assert coded.sync() == [], "what was made without is still there"


def test_a_process_that_ran_code_does_nothing_else(coded):
    """Two models' code, one after the other: neither finds what the other left behind."""
    name(coded, "allow_code: true", "adapters: []")
    text = (coded.root / "cortex.yaml").read_text()
    other = text.partition("models:\n")[2].replace("  m:", "  n:").replace("weights", "others")
    for file in ("config.json", "model.safetensors", "modeling_own.py"):
        content = (coded.root / "weights" / file).read_bytes()
        coded.write(f"others/{file}", content + b"\n" * file.endswith(".py"))
    coded.write("cortex.yaml", text + other)
    coded.run("sync", "-j", "1")
    assert [mark["changed"] for mark in marks(coded)] == [False, False]
    assert len({mark["process"] for mark in marks(coded)}) == 2


def test_leave_for_what_brings_no_code_is_refused(coded):
    name(coded, "allow_code: true")
    (coded.root / "weights/modeling_own.py").unlink()
    said = coded.run("plan", code=2).stderr
    assert "cortex.yaml:6:5: m: path:weights brings no code that `allow_code` could be for" in said


@pytest.mark.parametrize(("recipe", "tool"), [("mlx-4bit", "mlx"), ("gguf-q8_0", "gguf")])
def test_engines_that_run_none_refuse_what_they_do_not_know(coded, recipe, tool):
    name(coded, "allow_code: true", targets=recipe)
    said = coded.run("plan", code=2).stderr
    assert (
        f"m:{recipe}: tool `{tool}` cannot build `own` without code that the model brings" in said
    )
    assert "fetching llama.cpp" not in said


def test_a_command_does_not_run_it_in_its_own_process(coded, monkeypatch):
    name(coded, "allow_code: true", targets="safetensors")
    monkeypatch.setenv("CORTEX_HOME", str(coded.home))
    project = open_manifest(coded.root / "cortex.yaml")
    built = Built("m:safetensors", "safetensors", coded.root / "weights", NO_FILES, stale=False)
    with pytest.raises(ToolError, match="m:safetensors is run by code that the model brings"):
        load_built(project, built)
    assert marks(coded) == []


def test_the_lock_pins_the_code_and_what_is_told_of_a_model_names_it(coded):
    name(coded, "allow_code: true")
    coded.sync()
    for what in ("weights", "m:own"):
        found = json.loads(coded.run("info", what, "--json").stdout)
        assert found["code"] == (["modeling_own.py"] if what == "weights" else None)
    report = json.loads(coded.run("report", "--json").stdout)
    assert [step["label"] for step in report["steps"] if step["code"]] == ["m:own/convert"]
    assert "runs code that the model brings (modeling_own.py)" in report["targets"][0]["note"]
    assert "modeling_own.py" in [file["path"] for file in report["sources"][0]["files"]]
    coded.run("export", "m:own", "--to", "./out")
    assert "ran code that the model brings" in (coded.root / "out" / "README.md").read_text()
    pinned = json.loads((coded.root / "cortex.lock").read_text())["sources"]["path:weights"]
    assert [file["path"] for file in pinned["code"]] == ["modeling_own.py"]
    assert [file["path"] for file in pinned["files"]] == ["config.json", "model.safetensors"]


NEEDS = "cannot build `own` without code that the model brings (modeling_own.py), and runs none"


def test_who_brings_a_model_in_is_told_at_once_that_it_needs_code(coded):
    before = "schema: 1\nmodels:\n"
    coded.write("cortex.yaml", before)
    said = coded.run("add", "weights", code=2).stderr
    assert NEEDS in said and "`add --allow-code`" in said
    coded.write("Modelfile", "FROM ./weights\n")
    assert NEEDS in coded.run("import", "Modelfile").stdout
    assert (coded.root / "cortex.yaml").read_text() == before
    (coded.root / "cortex.yaml").unlink()
    said = coded.run("init", "weights", code=2).stderr
    assert "nothing can be built of path:weights: " in said and NEEDS in said
    assert not (coded.root / "cortex.yaml").exists()
    describe(coded, "llama")
    coded.run("init", "weights")
    assert "allow_code" not in (coded.root / "cortex.yaml").read_text()


def test_who_has_read_the_code_adds_the_model_with_leave(coded):
    coded.write("cortex.yaml", "schema: 1\nmodels:\n")
    coded.run("add", "weights", "--as", "n", "--allow-code")
    text = (coded.root / "cortex.yaml").read_text()
    assert "    allow_code: true\n    targets: [int8]\n" in text
    assert "runs code that the model brings" in coded.run("plan").stdout
    said = coded.run("add", "n:int4", "--allow-code", code=2).stderr
    assert "are of a source, not of a target" in said
    (coded.root / "weights" / "modeling_own.py").unlink()
    said = coded.run("add", "weights", "--as", "o", "--allow-code", code=2).stderr
    assert "brings no code that `allow_code` could be for" in said
