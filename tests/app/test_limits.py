"""Limits stop bad builds, and ladders climb until they are kept."""

from __future__ import annotations

import json

import pytest

RECIPE = """\
schema: 1
summary: the first {keep} letters
steps:
  - {{do: convert, tool: text}}
  - {{do: quantize, tool: text, set: {{keep: {keep}, fail: "{fail}"}}}}
  - {{do: validate, tool: text, set: {{says: '{says}'}}}}
"""
LADDER = """\
schema: 1
models:
  m:
    source: path:weights
    targets:
      t: {escalate: [three, five, eight], validate: {max_kl: %s}}
"""


@pytest.fixture
def measured(space):
    """Recipes whose divergence is known: the longer a text the smaller."""
    for name, keep, kl in (("three", 3, 0.5), ("five", 5, 0.05), ("eight", 8, 0.005)):
        says = json.dumps({"kl": kl, "top1": 1 - kl})
        space.write(f"recipes/{name}.yaml", RECIPE.format(keep=keep, says=says, fail=""))
    return space


def one(recipe, limits, everywhere="{}"):
    return (
        f"schema: 1\nvalidate: {everywhere}\nmodels:\n  m:\n    source: path:weights\n"
        f"    targets: {{t: {{recipe: {recipe}, validate: {limits}}}}}\n"
    )


def lock(space):
    return json.loads((space.root / "cortex.lock").read_text())


def test_what_is_not_good_enough_is_not_shown_and_the_last_good_one_stays(measured):
    measured.write("cortex.yaml", one("eight", "{max_kl: 0.1}"))
    measured.sync()
    measured.write("cortex.yaml", one("three", "{max_kl: 0.1}"))
    said = measured.run("sync", code=1).stderr
    assert "m:t is not good enough: KL divergence is 0.5, and `max_kl` is 0.1" in said
    assert measured.text() == "HELLO WO"
    report = measured.report(code=1)
    assert report["summary"]["built"] == 0, "what was measured is judged again, and not measured"
    assert measured.text() == "HELLO WO"


def test_a_limit_may_change_without_a_step(measured):
    measured.write("cortex.yaml", one("three", "{max_kl: 0.1}"))
    measured.run("sync", code=1)
    assert not measured.view().exists()
    measured.write("cortex.yaml", one("three", "{max_kl: 0.6}"))
    assert measured.sync() == [] and measured.text() == "HEL"


def test_limits_for_all_hold_where_a_target_has_none_of_its_own(measured):
    measured.write("cortex.yaml", one("three", "{max_kl: 0.6}", everywhere="{min_top1: 0.9}"))
    said = measured.run("sync", code=1).stderr
    assert "top-1 agreement is 0.5, and `min_top1` is 0.9" in said and "max_kl" not in said
    measured.write(
        "cortex.yaml", one("three", "{max_kl: 0.6, min_top1: 0.4}", everywhere="{min_top1: 0.9}")
    )
    assert measured.sync() == []


def test_a_limit_of_what_a_tool_does_not_measure_is_not_kept(measured):
    measured.write("cortex.yaml", one("eight", "{min_tokens_per_second: 1}"))
    said = measured.run("sync", code=1).stderr
    assert "tokens per second could not be measured, and `min_tokens_per_second` is 1" in said


def test_a_ladder_ends_at_the_first_recipe_that_is_good_enough(measured):
    measured.write("cortex.yaml", LADDER % 0.1)
    run = measured.run("sync")
    assert "m:t: three is no good: KL divergence is 0.5, and `max_kl` is 0.1; five is" in run.stderr
    assert measured.text() == "HELLO"
    settled = lock(measured)["settled"]["m:t"]
    assert settled["recipe"] == "five"
    assert settled["tried"] == {"three": "KL divergence is 0.5, and `max_kl` is 0.1"}
    assert measured.report()["summary"]["built"] == 0
    why = measured.run("why", "m:t").stdout
    assert "settled on five; three was no good: KL divergence is 0.5" in why
    made = json.loads((measured.home / "quantized_models/m--t.provenance.json").read_text())
    parameters = made["predicate"]["buildDefinition"]["externalParameters"]
    assert parameters == {"target": "m:t", "recipe": "five"}


def test_another_machine_goes_straight_to_where_the_ladder_ended(measured, tmp_path):
    measured.write("cortex.yaml", LADDER % 0.1)
    measured.sync()
    measured.home = tmp_path / "another"
    steps = measured.steps("--locked")
    assert [step for step in steps if "three" in step] == []
    assert measured.text() == "HELLO"


def test_with_other_limits_the_ladder_is_climbed_anew_and_nothing_is_measured_again(measured):
    measured.write("cortex.yaml", LADDER % 0.1)
    measured.sync()
    measured.write("cortex.yaml", LADDER % 0.01)
    assert measured.run("sync", "--locked", code=3).stderr.count("`escalate:` of m:t ends")
    assert {step.partition("-")[0] for step in measured.steps()} == {"m:t/eight"}
    assert list(lock(measured)["settled"]["m:t"]["tried"]) == ["three", "five"]
    measured.write("cortex.yaml", LADDER % 0.9)
    assert measured.steps() == [] and measured.text() == "HEL"
    assert lock(measured)["settled"]["m:t"]["recipe"] == "three"


def test_a_ladder_that_never_gets_there_is_a_failure_with_its_last_numbers(measured):
    measured.write("cortex.yaml", LADDER % 0.001)
    said = measured.run("sync", code=1).stderr
    assert "m:t is not good enough: KL divergence is 0.005, and `max_kl` is 0.001" in said
    assert not measured.view().exists() and "settled" not in lock(measured)


def test_a_recipe_that_fails_is_a_rung_like_another(measured):
    broken = RECIPE.format(keep=3, says="{}", fail="raise")
    measured.write("recipes/three.yaml", broken)
    measured.write("cortex.yaml", LADDER % 0.1)
    assert measured.run("sync").returncode == 0
    assert lock(measured)["settled"]["m:t"]["tried"] == {"three": "ValueError: no scissors"}


def test_a_failure_that_a_ladder_left_behind_still_stops_another_target(measured):
    measured.write("recipes/three.yaml", RECIPE.format(keep=3, says="{}", fail="raise"))
    measured.write("cortex.yaml", LADDER % 0.1 + "      u: {recipe: three}\n")
    said = measured.run("sync", code=1).stderr
    assert "no scissors" in said and "five is tried instead" in said
    assert measured.text() == "HELLO" and not measured.view("m--u").exists()


def test_two_ladders_that_share_a_failing_step_both_climb(measured):
    measured.write("recipes/three.yaml", RECIPE.format(keep=3, says="{}", fail="raise"))
    other = "      u: {escalate: [three, eight], validate: {max_kl: 0.1}}\n"
    measured.write("cortex.yaml", LADDER % 0.1 + other)
    measured.run("sync")
    assert (measured.text(), measured.text("m--u")) == ("HELLO", "HELLO WO")
    assert {t: e["recipe"] for t, e in lock(measured)["settled"].items()} == {
        "m:t": "five", "m:u": "eight",
    }  # fmt: skip


def test_what_was_locked_meanwhile_stays(measured):
    measured.write("cortex.yaml", LADDER % 0.1)
    slow = RECIPE.format(keep=5, says='{"kl": 0.05}', fail="").replace(
        "keep: 5", "keep: 5, sleep: 2"
    )
    measured.write("recipes/five.yaml", slow)
    with measured.start("sync") as running:
        while not (measured.home / "cutting").exists():
            assert running.poll() is None
        lines = (measured.root / "cortex.lock").read_text()
        now = lines.replace(
            '"tools":{', '"tools":{\n"x/convert/y":{"engine":{},"name":"x","revision":1},'
        )
        (measured.root / "cortex.lock").write_text(now)
        running.communicate()
    assert running.returncode == 0
    assert "x/convert/y" in lock(measured)["tools"] and "m:t" in lock(measured)["settled"]


def test_provenance_is_of_what_is_shown_and_prune_leaves_it(measured):
    def recipe():
        made = json.loads((measured.home / "quantized_models/m--t.provenance.json").read_text())
        return made["predicate"]["buildDefinition"]["externalParameters"]["recipe"]

    for limit, expected in ((0.1, "five"), (0.01, "eight"), (0.1, "five"), (0.9, "three")):
        measured.write("cortex.yaml", LADDER % limit)
        measured.run("sync", "--prune")
        assert recipe() == expected and measured.view().exists()


def test_a_target_that_is_no_ladder_any_more_leaves_no_trace_in_the_lock(measured):
    measured.write("cortex.yaml", LADDER % 0.1)
    measured.sync()
    measured.write("cortex.yaml", one("five", "{}"))
    assert measured.sync() == [] and "settled" not in lock(measured)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("{escalate: [three, five]}", "cortex.yaml:5:19: m:t: `escalate:` needs limits"),
        ("{recipe: three, escalate: [five]}", "`recipe:` and `escalate:` exclude each other"),
        ("{set: {keep: 3}}", "it has no `recipe:`"),
        ("{recipe: mlx-fit}", "chooses its bits by a budget, and there is none"),
        (
            "{escalate: [three], fit: {bits: 4}, validate: {max_kl: 1}}",
            "`fit:` and `escalate:` exclude each other",
        ),
        ("{escalate: [three, three], validate: {max_kl: 1}}", "`escalate:` names `three` twice"),
        ("{escalate: [three, fve], validate: {max_kl: 1}}", "no recipe `fve`"),
        ("{recipe: three, validate: {max_lk: 1}}", "did you mean `max_kl`?"),
        ("{recipe: three, validate: {max_kl: 1e-5}}", "expected a number, got `1e-5`"),
        ("{recipe: three, validate: {min_top1: 2}}", "less than or equal to 1, got `2`"),
    ],
)
def test_a_mistake_has_a_place(measured, target, said):
    measured.write(
        "cortex.yaml",
        f"schema: 1\nmodels:\n  m:\n    source: path:weights\n    targets: {{t: {target}}}\n",
    )
    error = measured.run("plan", code=2).stderr
    assert said in error and "cortex.yaml:5:" in error
