"""`auto-int` chose INT4, and what came of it is no good."""

from __future__ import annotations

import os

import pytest
from workspace import PLUGIN

from cortexbuild.app.generate import look
from cortexbuild.cli.python import open_manifest
from cortexbuild.cli.syncing import SyncOptions, keep_settled, raise_if_failed, run_sync
from cortexbuild.core.events import Said
from cortexbuild.core.plan import Scope
from cortexbuild.core.planning import policy

RECIPE = """\
schema: 1
summary: {name}
steps:
  - {{do: convert, tool: text}}
  - {{do: quantize, tool: text, set: {{keep: {keep}, fail: "{fail}"}}}}
  - {{do: validate, tool: text, set: {{longest: {longest}}}}}
"""


@pytest.fixture
def tight(space, monkeypatch):
    """A project in which a model that is not too small fits in INT4 only."""
    monkeypatch.setattr(policy, "TOO_SMALL_FOR_INT4", 0)
    for bits in ("PLAIN_NEEDS", "INT8_NEEDS"):
        monkeypatch.setattr(policy, bits, 1 << 60)
    monkeypatch.setenv("CORTEX_HOME", str(space.home))
    monkeypatch.setenv("PYTHONPATH", f"{PLUGIN}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(PLUGIN)
    space.write(
        "cortex.yaml",
        "schema: 1\nmodels:\n  m:\n    source: path:weights\n"
        "    targets: {t: {recipe: auto-int}, u: {recipe: short}}\n",
    )
    space.write("recipes/int8.yaml", RECIPE.format(name="int8", keep=8, fail="", longest=99))
    return space


def run(space):
    said, built = [], []

    def hear(event):
        if isinstance(event, Said):
            said.append(event.text)
        elif getattr(event, "change", "") == "built":
            built.append(event.label)

    project = open_manifest(space.root / "cortex.yaml")
    outcome = run_sync(project, Scope(project.plan.select([])), hear, SyncOptions(2))
    keep_settled(project, outcome)
    raise_if_failed(outcome)
    found = look(open_manifest(space.root / "cortex.yaml"), "m:t")
    return said, built, found


def test_an_int4_model_that_is_judged_bad_is_built_in_int8(tight):
    tight.write("recipes/int4.yaml", RECIPE.format(name="int4", keep=4, fail="", longest=3))
    said, built, found = run(tight)
    assert "m:t/int8-quantize" in built and "m:t/int8-validate" in built
    assert "NaN" in said[0] and "int8 is tried instead" in said[0]
    assert tight.text("m--t") == "HELLO WO"
    assert not found.stale
    assert run(tight)[:2] == ([], []), "the lock says where it ended"


def test_an_int4_model_that_cannot_be_made_is_built_in_int8(tight):
    tight.write("recipes/int4.yaml", RECIPE.format(name="int4", keep=4, fail="raise", longest=9))
    said, built, found = run(tight)
    assert "no scissors" in said[0] and "int8 is tried instead" in said[0]
    assert tight.text("m--t") == "HELLO WO"
    assert "m:u/quantize" in built, "it stops no other target"
    assert not found.stale
    assert run(tight)[:2] == ([], []), "what failed is not tried again"
    tight.write("recipes/int4.yaml", RECIPE.format(name="int4", keep=4, fail="", longest=9))
    assert "m:t/validate" in run(tight)[1], "but another INT4 is"


def test_a_good_int4_model_needs_nothing_else(tight):
    tight.write("recipes/int4.yaml", RECIPE.format(name="int4", keep=4, fail="", longest=9))
    said, built, _ = run(tight)
    assert said == [] and not [label for label in built if "int8" in label]
    assert tight.text("m--t") == "HELL"
