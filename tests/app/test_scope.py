"""`--force`, `--replace` and `--until`: a sync of other than all that is stale."""

from __future__ import annotations

import json


def test_force_runs_what_is_fresh_and_keeps_what_is_there(space):
    space.sync()
    before = space.blobs()
    assert sorted(space.sync("--force")) == ["convert", "detect", "fetch", "quantize", "validate"]
    assert space.blobs() == before
    assert space.sync() == []


def test_force_runs_the_steps_that_are_named(space):
    space.manifest(a={"keep": 1}, b={"keep": 2})
    space.sync()
    assert space.steps("--force=m:a/quantize") == ["m:a/quantize"]
    assert sorted(space.steps("--force=quantize")) == ["m:a/quantize", "m:b/quantize"]
    assert space.steps("m:b", "--force=quant*") == ["m:b/quantize"]
    said = space.run("plan", "--force=m:bb", code=2).stderr
    assert "no step `m:bb` in what is to be built" in said and "did you mean `m:b`?" in said
    said = space.run("sync", "--force=quantise", code=2).stderr
    assert "no step `quantise` in what is to be built" in said
    assert "did you mean" in said or "m:a/quantize" in said


def test_a_target_after_force_is_the_target(space):
    """`--force` takes the next word, and who writes a target there means that."""
    space.manifest(a={"keep": 1}, b={"keep": 2})
    space.sync()
    own = ["m/detect", "m/fetch", "m/convert", "m:b/quantize", "m:b/validate"]
    assert sorted(space.steps("--force", "m:b")) == sorted(own)
    assert "m:a/quantize" in space.steps("--force", "m:b", "m:a")
    assert len(space.steps("--force", "m")) == len(own) + 2


def test_a_forced_step_that_gives_other_bytes_is_reported_and_the_first_are_kept(space):
    space.manifest(t={"fail": "differ"})
    space.sync()
    first = space.text()
    said = space.run("sync", "--force=quantize").stderr
    assert "m:t/quantize gave other bytes than a run before it; the first are kept" in said
    assert space.text() == first
    said = space.run("sync", "--force=quantize", "--replace").stderr
    assert "gave other bytes than a run before it; the new ones are kept" in said
    assert "ok    m:t/validate" in said, "what stands on the replaced bytes is made again"
    assert space.text() != first
    assert space.sync() == []


def test_replace_needs_force(space):
    assert "add `--force`" in space.run("sync", "--replace", code=2).stderr


def test_until_ends_after_a_kind_of_step_and_shows_no_half_target(space):
    assert space.sync("--until", "fetch") == ["fetch"]
    assert not (space.home / "quantized_models").exists()
    assert sorted(space.sync("--until", "convert")) == ["convert", "detect"]
    assert sorted(space.sync()) == ["quantize", "validate"]
    assert space.sync("--until", "convert") == []


def test_plan_says_what_such_a_sync_would_run(space):
    space.sync()
    steps = json.loads(space.run("plan", "--json", "--force=convert").stdout)["steps"]
    found = {s["kind"]: (s["state"], [r["code"] for r in s["reasons"]]) for s in steps}
    assert found["convert"] == ("will-run", ["forced"])
    assert found["fetch"][0] == "fresh"
    assert found["quantize"][0] == found["validate"][0] == "may-run"
    steps = json.loads(space.run("plan", "--json", "--until=convert").stdout)["steps"]
    assert [s["kind"] for s in steps] == ["fetch", "detect", "convert"]


def test_verbose_says_what_starts_and_what_is_fresh(space):
    said = space.run("sync", "-v").stderr
    assert "  run   m:t/quantize" in said
    assert "  fresh m:t/quantize" in space.run("sync", "-v").stderr
