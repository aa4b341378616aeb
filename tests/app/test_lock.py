"""What a team sees of cortex.lock."""

from __future__ import annotations

import json
import shutil

import pytest
from workspace import Workspace, tiny_safetensors

ALL = ["convert", "detect", "fetch", "quantize", "validate"]


def lock(space) -> dict:
    return json.loads((space.root / "cortex.lock").read_text())


def text(space) -> str:
    return (space.root / "cortex.lock").read_text()


def test_sync_writes_what_it_pinned_and_building_never_changes_it(space):
    space.run("lock")
    before = text(space)
    assert space.steps() != []
    assert text(space) == before
    assert list(lock(space)["sources"]) == ["builtin:evaluation", "path:weights"]
    files = lock(space)["sources"]["path:weights"]["files"]
    assert [file["path"] for file in files] == ["config.json", "model.safetensors"]
    assert lock(space)["tools"]["text/quantize/text"]["engine"] == {"text": "1.0"}


def test_each_file_has_a_line_and_there_is_nothing_of_this_machine(space):
    space.sync()
    lines = text(space).splitlines()
    assert sum('"path":"model.safetensors"' in line for line in lines) == 1
    assert str(space.root) not in text(space) and str(space.home) not in text(space)
    assert text(space).endswith("}\n")


def test_two_peoples_models_merge_as_text(space):
    """Each adds one to the same lock; the lines that they add do not touch."""
    import subprocess

    def manifest(*models):
        rows = [f"  {m}: {{source: 'path:{m}', targets: {{t: {{recipe: short}}}}}}" for m in models]
        space.write("cortex.yaml", "\n".join(["schema: 1", "models:", *rows, ""]))
        space.run("lock")
        return text(space)

    for name in ("a", "m", "n", "z"):
        space.write(f"{name}/config.json", json.dumps({"text": name}))
        space.write(f"{name}/model.safetensors", tiny_safetensors(name.encode()))
    base, ours, theirs = manifest("m", "n"), manifest("a", "m", "n"), manifest("m", "n", "z")
    for name, content in (("base", base), ("ours", ours), ("theirs", theirs)):
        space.write(name, content)
    merged = subprocess.run(
        ["git", "merge-file", "-p", "ours", "base", "theirs"],
        cwd=space.root, capture_output=True, text=True,
    )  # fmt: skip
    assert merged.returncode == 0
    assert merged.stdout == manifest("a", "m", "n", "z")


def test_an_installed_tool_that_is_not_the_locks_is_named_with_the_ways_out(space):
    space.sync()
    (space.home / "text-version").write_text("2.0")
    assert space.sync() == [], "what is built stays built"
    space.manifest(t={"keep": 2})
    said = space.run("sync", code=1).stderr
    assert "text 2.0 is here, and cortex.lock has text 1.0" in said
    assert "pip install text==1.0" in said and "lock --upgrade-tools" in said
    assert "text 1.0 -> 2.0" in space.run("lock", "--upgrade-tools").stdout
    assert "tool.engine.text: 1.0 -> 2.0" in space.run("why", "m:t").stdout
    assert "convert" in space.sync()


def test_a_machine_without_weights_and_tools_plans_the_same_keys(space, tmp_path):
    space.sync()
    plan = json.loads(space.run("plan", "--json").stdout)
    shutil.rmtree(space.root / "weights")
    (space.home / "text-version").write_text("none")
    again = json.loads(space.run("plan", "--json").stdout)
    assert again["summary"]["fresh"] == plan["summary"]["fresh"] == 5
    assert [s["key"] for s in again["steps"]] == [s["key"] for s in plan["steps"]]
    assert space.sync() == []
    other = Workspace(space.root, tmp_path / "other")
    other.home.mkdir()
    (other.home / "text-version").write_text("none")
    there = {s["kind"]: s["key"] for s in json.loads(other.run("plan", "--json").stdout)["steps"]}
    here = {s["kind"]: s["key"] for s in plan["steps"]}
    assert there["convert"] == here["convert"]
    assert "has no `config.json`" in other.run("sync", code=1).stderr


def test_two_checkouts_in_other_places_have_the_same_lock_and_bytes(space, tmp_path):
    space.sync()
    other = Workspace(tmp_path / "elsewhere" / "deep", tmp_path / "other-home")
    shutil.copytree(space.root, other.root, ignore=shutil.ignore_patterns(".cortex", "cortex.lock"))
    assert sorted(other.sync()) == ALL
    assert text(other) == text(space)
    assert other.text() == space.text()
    digests = [json.loads(s.run("list", "--json").stdout) for s in (space, other)]
    assert digests[0]["targets"][0]["size"] == digests[1]["targets"][0]["size"]


def test_locked_refuses_to_change_the_lock_and_says_what_would(space):
    assert "there is no cortex.lock" in space.run("sync", "--locked", code=3).stderr
    space.run("lock")
    assert sorted(space.sync("--locked")) == ALL
    space.write("weights/config.json", '{"text": "other words"}')
    said = space.run("sync", "--locked", code=3).stderr
    assert "cortex.lock is not up to date" in said and "~ path:weights" in said
    assert "run `cortexbuild lock`" in said
    assert "~ config.json  23 -> 23 bytes" not in said
    moved = space.run("lock").stdout
    assert "~ config.json" in moved
    assert "convert" in space.sync("--locked")


def test_frozen_looks_at_nothing_but_the_lock(space):
    assert "there is no cortex.lock" in space.run("sync", "--frozen", code=2).stderr
    space.sync()
    space.write("weights/config.json", '{"text": "other words"}')
    assert space.sync("--frozen") == []
    assert "not allowed with" in space.run("sync", "--frozen", "--locked", code=2).stderr


def test_check_tells_by_its_exit_code_and_changes_nothing(space):
    found = json.loads(space.run("lock", "--check", "--json", code=3).stdout)
    assert {change["sign"] for change in found["changes"]} == {"+"}
    space.run("lock")
    assert json.loads(space.run("lock", "--check", "--json").stdout)["changes"] == []
    assert "not up to date: m/fetch" in space.run("sync", "--check", code=3).stderr
    assert not (space.home / "quantized_models").exists()
    space.sync()
    space.run("sync", "--check")
    before = text(space)
    space.manifest(t={"keep": 2})
    said = space.run("sync", "--check", "--json", code=3)
    steps = {step["id"]: step["state"] for step in json.loads(said.stdout)["steps"]}
    assert steps["m:t/convert"] == "fresh" != steps["m:t/quantize"]
    assert "m:t/quantize" in said.stderr and text(space) == before


def test_a_target_that_is_gone_leaves_the_lock(space):
    space.manifest(a={}, b={})
    space.run("lock", "--record-outputs", code=1)
    space.sync()
    space.run("lock", "--record-outputs")
    assert list(lock(space)["outputs"]) == ["m:a", "m:b"]
    space.manifest(a={})
    assert "- m:b" in space.run("lock").stdout
    assert list(lock(space)["outputs"]) == ["m:a"]


def test_recorded_outputs_are_verified_bit_for_bit(space):
    space.manifest(t={"fail": "differ"})
    space.sync()
    space.run("lock", "--record-outputs")
    assert space.sync() == []
    before = space.text()
    space.home = space.home.with_name("a-second-machine")
    said = space.run("sync", code=6).stderr
    assert "it is not reproduced: cortex.lock recorded" in said
    assert not (space.home / "quantized_models" / "m--t").exists()
    space.manifest(t={"keep": 3})
    assert "quantize" in space.sync(), "of other settings nothing was recorded"
    assert before != space.text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cortex.lock:1:2: is not JSON"),
        ("<<<<<<< ours\n{}", "cortex.lock:1:1: has conflicts of a merge"),
        ('{"lock_version":99}', "written in form 99"),
        ("[]", "not a lock"),
        ('{"lock_version":1,"sources":{},"sources":{},"tools":{}}', "sources is there twice"),
        ('{"lock_version":1,"sources":{"path:weights":{"facts":{},"files":[]}},"tools":{}}', "no format"),
        ('{"lock_version":1,"sources":{"path:w":{"facts":{"format":"x"},"files":[{"path":"../a","size":1,"sha256":"%s"}]}},"tools":{}}' % ("0" * 64), "may not leave"),
    ],
)  # fmt: skip
def test_a_lock_that_cannot_be_read_is_an_error_with_a_way_out(space, content, said):
    space.write("cortex.lock", content)
    found = space.run("sync", code=2).stderr
    assert said in found and "hint: " in found
    assert (space.root / "cortex.lock").read_text() == content
