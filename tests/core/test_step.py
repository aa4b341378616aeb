"""What is part of a key, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cortexbuild.core.digest import Digest, File, Tree
from cortexbuild.core.step import (
    Input,
    Kind,
    Step,
    StepId,
    StepKey,
    ToolId,
    Trace,
    explain,
    key_of,
)

TOOL = ToolId("mlx", 1, {"mlx": "0.32.4"})
SOURCE = StepId("s" * 64)
STEP = Step(
    Kind.QUANTIZE, TOOL, {"bits": 4}, {"model": Input(SOURCE, ("*.json",))}, "m:t/quantize", "mlx"
)
TREE = Tree.of([File("README.md", Digest("a" * 64), 1), File("c.json", Digest("b" * 64), 2)])


def key(step: Step = STEP, tree: Tree = TREE, salt: str = "") -> str:
    return key_of(step.ingredients({role: tree for role in step.inputs}, salt))


def test_the_key_is_what_it_was_when_this_was_written():
    assert key() == "7878200f5faea4069f6313b249237a9dbaffa985be05725cba61e4d0ed6db7dc"


@pytest.mark.parametrize(
    "changed",
    [
        replace(STEP, kind=Kind.CONVERT),
        replace(STEP, tool=replace(TOOL, revision=2)),
        replace(STEP, tool=replace(TOOL, engine={"mlx": "0.32.5"})),
        replace(STEP, tool=replace(TOOL, name="other")),
        replace(STEP, params={"bits": 8}),
        replace(STEP, params={"bits": 4, "group_size": 64}),
        replace(STEP, inputs={"source": STEP.inputs["model"]}),
        replace(STEP, format="gguf"),
        replace(STEP, tree=TREE),
    ],
    ids=["kind", "revision", "engine", "tool", "param", "new param", "role", "format", "tree"],
)
def test_s16_whatever_decides_the_output_is_in_the_key(changed):
    assert key(changed) != key()


def test_the_salt_is_in_the_key():
    assert key(salt="disowned") != key()


@pytest.mark.parametrize(
    "changed",
    [replace(STEP, label="another name"), replace(STEP, origin="hf:mirror/copy")],
    ids=["label", "origin"],
)
def test_names_and_places_are_not_in_the_key(changed):
    assert key(changed) == key()
    assert changed.id == STEP.id


def test_a_file_that_is_not_read_is_not_in_the_key():
    other = Tree.of([File("README.md", Digest("c" * 64), 9), TREE.files[1]])
    assert key(tree=other) == key()


def test_a_file_that_is_read_is_in_the_key_with_its_path():
    moved = Tree.of([TREE.files[0], replace(TREE.files[1], path="d.json")])
    changed = Tree.of([TREE.files[0], replace(TREE.files[1], digest=Digest("d" * 64))])
    assert len({key(), key(tree=moved), key(tree=changed)}) == 3


def test_exchanged_inputs_give_another_key():
    step = replace(STEP, inputs={"base": Input(SOURCE), "draft": Input(StepId("t" * 64))})
    other = Tree.of([File("x", Digest("e" * 64), 1)])
    there = key_of(step.ingredients({"base": TREE, "draft": other}))
    back = key_of(step.ingredients({"base": other, "draft": TREE}))
    assert there != back


def test_explain_names_each_difference_once():
    new = replace(STEP, params={"bits": 8}, tool=replace(TOOL, engine={"mlx": "0.33"}))
    said = [
        str(d) for d in explain(new.ingredients({"model": TREE}), STEP.ingredients({"model": TREE}))
    ]
    assert said == ["params.bits: 4 -> 8", "tool.engine.mlx: 0.32.4 -> 0.33"]


def test_explain_shortens_digests_and_names_what_is_new():
    said = [str(d) for d in explain({"inputs": {"c.json": "b" * 64}}, {"inputs": {}})]
    assert said == ["inputs.c.json: nothing -> bbbbbbbbbbbb"]


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("1.5", 1.5), ("0.000", 0.0), ("", None), ("long", None), ("nan", None), ("inf", None), ("-1", None)],
)  # fmt: skip
def test_a_record_of_elsewhere_may_say_anything_of_its_time(told, seconds):
    assert Trace(StepKey(""), {}, TREE, "m:t/quantize", {"seconds": told}).seconds == seconds
    assert Trace(StepKey(""), {}, TREE, "m:t/quantize", {}).seconds is None
