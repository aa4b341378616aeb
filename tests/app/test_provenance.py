"""Where a target comes from, whether it can be made again, and how two differ."""

from __future__ import annotations

import hashlib
import json


def statement(space, target="m:t"):
    return json.loads(space.run("provenance", target).stdout)


def test_each_result_has_a_statement_beside_it(space):
    space.sync()
    beside = space.view().with_name("m--t.provenance.json")
    found = json.loads(beside.read_text())
    assert found == statement(space)
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    (subject,) = found["subject"]
    content = (space.view() / "model.txt").read_bytes()
    assert subject["digest"]["sha256"] == hashlib.sha256(content).hexdigest()
    definition = found["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {"target": "m:t", "recipe": "short"}
    (source,) = definition["resolvedDependencies"]
    assert source["uri"] == "path:weights"
    assert list(source["annotations"]["files"]) == ["config.json", "model.safetensors"]
    steps = {step["kind"]: step for step in definition["internalParameters"]["steps"]}
    assert list(steps) == ["detect", "convert", "quantize", "validate"]
    assert steps["quantize"]["params"]["keep"] == 4
    assert steps["quantize"]["tool"]["engine"] == {"text": "1.0"}
    assert all(step["key"] and step["output"] and step["platform"] for step in steps.values())


def test_a_statement_follows_what_is_built_and_a_lost_one_comes_back(space):
    space.sync()
    beside = space.view().with_name("m--t.provenance.json")
    before = beside.read_text()
    space.manifest(t={"keep": 2})
    space.sync()
    assert beside.read_text() != before
    beside.unlink()
    assert space.sync() == []
    assert json.loads(beside.read_text()) == statement(space)
    space.manifest(other={"keep": 2})
    space.run("sync", "--prune")
    assert not beside.exists()


def test_what_is_not_built_has_none(space):
    assert "m:t is not built" in space.run("provenance", "m:t", code=1).stderr


def test_a_rebuild_compares_every_step_and_leaves_nothing(space):
    space.sync()
    blobs, views = space.blobs(), space.text()
    said = space.run("verify", "--rebuild", "m:t").stdout
    assert said.count("the same, byte for byte") == 4
    assert space.blobs() == blobs and space.text() == views and space.debris() == []
    assert space.sync() == []


def test_a_tool_that_lies_about_its_key_is_found(space):
    space.manifest(t={"fail": "differ"})
    space.sync()
    done = space.run("verify", "--rebuild", "m:t", code=6)
    assert "m:t/quantize  differs in model.txt" in done.stdout
    assert "not in its key" in done.stderr
    report = space.run("verify", "--rebuild", "m:t", "--json", code=6).stdout
    steps = {step["step"]: step for step in json.loads(report)["steps"]}
    assert steps["m:t/quantize"]["differ"] == ["model.txt"] and steps["m:t/quantize"]["promised"]
    assert steps["m:t/convert"]["differ"] == []


def test_diff_of_targets_says_what_was_set_and_what_came_out(space):
    space.manifest(a={"keep": 3}, b={"keep": 5})
    space.sync()
    said = space.run("diff", "m:a", "m:b").stdout
    assert "m:a -> m:b  3 B -> 5 B" in said
    assert "quantize: params.keep: 3 -> 5" in said
    assert "file model.txt: 3 B -> 5 B" in said and "convert" not in said
    found = json.loads(space.run("diff", "m:a", "m:b", "--json").stdout)
    assert [side["size"] for side in found["sides"]] == [3, 5]
    assert found["made"] == [{"step": "quantize", "at": "params.keep", "old": 3, "new": 5}]
    assert "names 2 targets" in space.run("diff", "m", "m:b", code=2).stderr


def test_diff_of_locks_says_which_files_moved(space):
    space.run("lock")
    space.write("before.lock", (space.root / "cortex.lock").read_text())
    space.write("weights/config.json", '{"text": "something longer"}')
    space.run("lock")
    said = space.run("diff", "before.lock", "cortex.lock").stdout
    assert "~ path:weights" in said and "~ config.json  23 -> 28 bytes" in said


def test_diff_of_files_that_are_no_locks_says_so(space):
    space.manifest(t={})
    for name in ("one", "other"):
        space.write(name, b"\xff\xfe")
    assert "one cannot be read: 'utf-8' codec" in space.run("diff", "one", "other", code=2).stderr


def test_status_is_one_screen(space):
    said = space.run("status").stdout
    assert "cortex.lock  is not there yet" in said and "not built  m:t" in said
    space.sync()
    assert "cortex.lock  is up to date" in space.run("status").stdout
    space.manifest(t={"keep": 2}, u={})
    space.write("weights/config.json", '{"text": "something longer"}')
    said = space.run("status").stdout
    assert "is 1 entry behind cortex.yaml" in said
    assert "stale" in said and "not built  m:u" in said
    found = json.loads(space.run("status", "--json").stdout)
    assert found["lock"] == {"state": "stale"} and found["targets"]["m:t"] == "stale"
