"""Which steps of a sync run in one go: those of one tool over the very same inputs, made here."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from workspace import Workspace

from cortexbuild.app.build import After, build
from cortexbuild.app.together import together
from cortexbuild.core.digest import File as TreeFile
from cortexbuild.core.digest import Tree, digest_bytes
from cortexbuild.core.plan import Goal, Plan
from cortexbuild.core.ports import Done
from cortexbuild.core.scheduling.agenda import Agenda, Ready
from cortexbuild.core.scheduling.schedule import Schedule
from cortexbuild.core.step import Failure, Input, Kind, Step, StepKey, ToolId, Trace

RECIPE = """\
schema: 1
summary: a short text, pressed
steps:
  - {do: convert, tool: text}
  - {do: quantize, tool: press}
  - {do: validate, tool: text}
"""


@pytest.fixture
def presses(space: Workspace) -> Workspace:
    space.write("recipes/pressed.yaml", RECIPE)
    manifest(space, m=(1, 2, 3))
    return space


def manifest(space: Workspace, *, sources: str = "weights", **keeps: tuple[int, ...]) -> None:
    """Models by name, each from the source of its place, with a target for each width."""
    lines = ["schema: 1", "models:"]
    for (name, widths), source in zip(keeps.items(), sources.split(), strict=True):
        lines += [f"  {name}:", f"    source: path:{source}", "    targets:"]
        settings = ({"recipe": "pressed", "set": {"keep": width}} for width in widths)
        lines += [f"      k{one['set']['keep']}: {json.dumps(one)}" for one in settings]
    space.write("cortex.yaml", "\n".join([*lines, ""]))


def pressed(space: Workspace) -> list[int]:
    """How many steps each call of the tool was for, since this was last asked."""
    path = space.home / "pressed"
    found = [int(line) for line in path.read_text().split()] if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def test_targets_of_one_source_are_made_by_one_call_and_nothing_the_second_time(presses):
    assert sorted(presses.sync("-j", "1")).count("quantize") == 3
    assert pressed(presses) == [3]
    assert [presses.text(f"m--k{width}") for width in (1, 2, 3)] == ["H", "HE", "HEL"]
    for width in (1, 2, 3):
        assert "pressed 3 at once" in presses.run("log", f"m:k{width}/quantize").stdout
    assert presses.sync() == [] and pressed(presses) == []
    assert presses.debris() == []


def test_who_comes_later_is_made_alone_and_has_the_same_key_as_together(presses):
    manifest(presses, m=(2,))
    presses.sync()
    assert pressed(presses) == [1]
    manifest(presses, m=(1, 2, 3))
    assert presses.sync().count("quantize") == 2
    assert pressed(presses) == [2]


def test_other_inputs_are_another_call(presses):
    presses.write("others/config.json", '{"text": "other words"}')
    presses.write(
        "others/model.safetensors", (presses.root / "weights/model.safetensors").read_bytes()
    )
    manifest(presses, sources="weights others", m=(1, 2, 3), n=(1, 2))
    presses.sync()
    assert sorted(pressed(presses)) == [2, 3]
    assert presses.text("n--k2") == "OT"


def test_what_is_forced_runs_alone(presses):
    presses.sync()
    pressed(presses)
    assert presses.sync("--force=m:k?/quantize") == ["quantize"] * 3
    assert pressed(presses) == [1, 1, 1]


def test_one_that_fails_fails_alone(presses):
    text = (presses.root / "cortex.yaml").read_text()
    presses.write("cortex.yaml", text.replace('"keep": 2', '"keep": 2, "fail": "both"'))
    presses.sync("-k", code=1)
    assert pressed(presses) == [3, 1, 1, 1]
    assert [presses.text(f"m--k{width}") for width in (1, 3)] == ["H", "HEL"]
    said = presses.run("log", "m:k2/quantize").stdout
    assert "each step runs alone" in said and "error: no press" in said
    assert presses.debris() == []


def test_what_was_made_together_is_compared_with_what_is_made_alone(presses):
    presses.sync()
    pressed(presses)
    assert "same" in presses.run("verify", "--rebuild", "m:k2").stdout.lower()
    assert pressed(presses) == [1]


def test_on_a_cluster_each_is_placed_by_itself(presses):
    presses.sync("--executor", "dask")
    assert pressed(presses) == [1, 1, 1]


TREE, OTHER = (Tree((TreeFile("a", digest_bytes(name), 1),)) for name in (b"a", b"b"))
STEP = Step(Kind.QUANTIZE, ToolId("press", 1), {"keep": 1}, {}, "q", "text")
READY = Ready(STEP.id, STEP, StepKey("k"), {}, {"model": TREE})


def same(ready, tool=object(), may_join=True):  # noqa: B008
    project = SimpleNamespace(find_step_tool=lambda step: SimpleNamespace(together=tool))
    return together(project, lambda _: may_join)(ready)


def test_what_may_differ_is_settings_alone():
    value = same(READY)
    others = replace(STEP, params={"keep": 2}, label="other")
    assert value is not None and same(replace(READY, id=others.id, step=others)) == value
    for other in (
        replace(READY, inputs={"model": OTHER}),
        replace(READY, inputs={"source": TREE}),
        replace(READY, inputs={"model": TREE, "measure": OTHER}),
        replace(READY, step=replace(STEP, tool=ToolId("text", 1))),
        replace(READY, step=replace(STEP, kind=Kind.CONVERT)),
        replace(READY, step=replace(STEP, format="gguf")),
    ):
        assert same(other) not in (value, None)


def test_what_is_pulled_or_fetched_or_runs_a_model_s_code_or_may_not_join_starts_alone():
    assert same(replace(READY, pull=TREE)) is None
    assert same(replace(READY, step=replace(STEP, kind=Kind.FETCH))) is None
    assert same(replace(READY, step=replace(STEP, code=True))) is None
    assert same(READY, tool=None) is None
    assert same(READY, may_join=False) is None


class Executor:
    """Takes note of what is started together; the first of each group fails, if it is to."""

    def __init__(self, failing=frozenset()):
        self.started, self.queue, self.failing = [], [], failing

    def free(self):
        return 1 - bool(self.queue)

    def start(self, *group):
        self.started.append([ready.step.label for ready in group])
        self.queue += group

    def wait(self):
        ready = self.queue.pop(0)
        if ready.step.label in self.failing:
            return Done(ready.id, Failure("no"))
        tree = ready.step.tree or Tree((TreeFile("a", digest_bytes(ready.id.encode()), 1),))
        return Done(ready.id, Trace(ready.key, ready.ingredients, tree, ready.step.label, {}))

    def close(self):
        pass


@pytest.mark.parametrize("failing", [frozenset(), {"q1"}])
def test_the_loop_starts_a_group_and_hears_of_each(failing):
    source = Step(Kind.FETCH, ToolId("fetch", 1), {}, {}, "s", tree=TREE)
    steps = [source]
    for number in range(3):
        inputs = {"model": Input(source.id)}
        steps.append(Step(Kind.QUANTIZE, ToolId("p", 1), {"n": number}, inputs, f"q{number}"))
    plan = Plan({step.id: step for step in steps}, {"t": Goal(steps[-1].id, (), "x", "x")})
    executor, events = Executor(failing), []
    schedule = Schedule(together=lambda ready: "q" if ready.step.kind is Kind.QUANTIZE else None)
    agenda = Agenda(
        plan, plan.steps, lambda *_: None, lambda tree: tree != TREE or executor.started
    )
    failed = build(
        agenda, executor, lambda ready: ready, events.append,
        after=After("go-on"), schedule=schedule,
    )  # fmt: skip
    assert executor.started == [["s"], ["q0", "q1", "q2"]]
    assert {plan.steps[id_].label for id_ in failed} == failing
    said = [(event.label, event.change) for event in events if event.label.startswith("q")]
    ends = [(f"q{n}", "failed" if f"q{n}" in failing else "built") for n in range(3)]
    assert said == [*((f"q{n}", "started") for n in range(3)), *ends]
