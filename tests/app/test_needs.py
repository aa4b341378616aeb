"""What does not fit into memory: said before anything starts, and no matter to other targets."""

from __future__ import annotations

import json

import pytest

GIGANTIC = """\
schema: 1
summary: more than there is
steps:
  - {do: convert, tool: text}
  - {do: quantize, tool: text, set: {keep: 4, gibibytes: 64}}
  - {do: validate, tool: text}
"""


@pytest.fixture
def project(space):
    space.write("recipes/gigantic.yaml", GIGANTIC)
    space.write(
        "cortex.yaml",
        "schema: 1\nresources: {memory: 32GiB, jobs: 1}\nmodels:\n  m:\n    source: path:weights\n"
        "    targets: {t: {recipe: gigantic}, u: {recipe: short}}\n",
    )
    return space


def test_a_target_that_cannot_be_built_here_stops_a_sync_before_its_first_step(project):
    report = project.report(code=1)
    assert [s["step"] for s in report["steps"] if s["change"] == "built"] == []
    said = project.run("sync", code=1).stderr
    assert (
        "m:t/quantize failed: it needs about 64.06 GiB of memory, and there are 32.00 GiB" in said
    )
    assert "choose another recipe" in said and "`resources: {memory: …}`" in said


def test_other_targets_are_built_if_it_is_to_keep_going(project):
    assert "validate" in project.sync("-k", code=1)
    assert project.text("m--u") == "HELL"
    report = project.report("-k", code=1)
    changes = {s["step"]: s["change"] for s in report["steps"]}
    assert changes["m:t/quantize"] == "failed" and changes["m:t/validate"] == "skipped"
    assert "built" not in changes.values()


def test_nothing_is_made_for_a_target_that_cannot_be_built(project):
    assert project.sync("-k", "m:t", code=1) == []


def test_what_is_fresh_needs_no_memory(project):
    text = (project.root / "cortex.yaml").read_text()
    project.write("cortex.yaml", text.replace("32GiB", "99GiB"))
    project.sync()
    project.write("cortex.yaml", text)
    assert project.sync() == []


def test_plan_says_what_it_takes_and_what_there_is(project):
    plan = json.loads(project.run("plan", "--json").stdout)
    needs = {step["id"]: step["needs"] for step in plan["steps"]}
    assert needs["m:t/quantize"]["memory"] >> 30 == 64 and needs["m/fetch"]["net"] == 1
    assert plan["memory"]["limit"] == 32 << 30
    said = project.run("plan").stdout
    assert "m:t/quantize takes the most of 32.0 GiB of memory, about 64.1 GiB" in said
    assert "m:t/quantize: it needs about 64.06 GiB of memory, and there are 32.00 GiB" in said
