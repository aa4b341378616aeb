"""Planning is linear: a graph of thousands of steps takes one pass."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import pytest

from cortexbuild.app.build import build
from cortexbuild.app.intermediates import Intermediates, between
from cortexbuild.core.digest import Digest, File, Tree, digest_bytes
from cortexbuild.core.document import Text
from cortexbuild.core.lock import Lock, Pinned
from cortexbuild.core.manifest import Manifest
from cortexbuild.core.needs import Capacity, Needs
from cortexbuild.core.params import Params
from cortexbuild.core.plan import Goal, Plan, Scope
from cortexbuild.core.planning.planner import make_plan
from cortexbuild.core.planning.resolve import tool_name
from cortexbuild.core.ports import Done, Tool, Toolbox
from cortexbuild.core.recipe import Recipe
from cortexbuild.core.scheduling.agenda import Agenda
from cortexbuild.core.scheduling.schedule import Schedule, ways
from cortexbuild.core.step import Input, Kind, Step, StepKey, ToolId, Trace


class Mark(Params):
    mark: str = ""


def nothing(run, params):
    raise NotImplementedError("planned, and never run")


TOOLS = {
    kind: Tool(
        "copy",
        kind,
        Mark,
        nothing,
        1,
        ("safetensors",),
        "safetensors",
        wants=("facts",) if kind is Kind.CONVERT else (),
    )
    for kind in (Kind.CONVERT, Kind.QUANTIZE, Kind.VALIDATE)
} | {Kind.DETECT: Tool("detect", Kind.DETECT, Mark, nothing, 1, ("*",), "facts")}
TOOLBOX = Toolbox(lambda name, kind, format_: TOOLS[kind], lambda: ())


def planned(models: int) -> Plan:
    """Nine steps a model: fetch, convert, and three times to quantize and to validate are eight,
    and what was fetched is detected."""
    recipes = {
        mark: Recipe.parse(Text(mark, {
            "schema": 1, "summary": mark,
            "steps": [
                {"do": "convert", "tool": "copy"},
                {"do": "quantize", "tool": "copy", "set": {"mark": mark}},
                {"do": "validate", "tool": "copy"},
            ],
        }))
        for mark in ("q4", "q5", "q8")
    }  # fmt: skip
    sources = {}
    for number in range(models):
        tree = Tree((File("a.safetensors", digest_bytes(str(number).encode()), 1),))
        origin = f"path:{number}"
        sources[origin] = Pinned(origin, tree, {"format": "safetensors"})
    names = {
        f"m{n}": {"source": origin, "targets": list(recipes)} for n, origin in enumerate(sources)
    }
    manifest = Manifest.parse(Text("cortex.yaml", {"schema": 1, "models": names}))
    tools = {tool_name(tool): ToolId(tool.name, 1) for tool in TOOLS.values()}
    return make_plan(manifest, recipes, Lock(sources, tools), TOOLBOX)


class Instant:
    """Two at once, and each is done when it is waited for; no two make the same."""

    def __init__(self):
        self.jobs = []

    def free(self):
        return 2 - len(self.jobs)

    def start(self, *group):
        self.jobs += group

    def wait(self):
        ready = self.jobs.pop()
        tree = ready.step.tree or Tree((File("a", Digest(ready.id), 1),))
        return Done(ready.id, Trace(ready.key, ready.ingredients, tree, ready.step.label, {}))

    def close(self):
        pass


def some_room(plan: Plan) -> Schedule:
    seconds = {id_: float(number % 7) for number, id_ in enumerate(plan.steps)}
    return Schedule(Capacity(8), lambda _: Needs(3), lambda: ways(plan, seconds))


def built(plan: Plan) -> None:
    """All of it, where there is room for some."""
    agenda = Agenda(plan, plan.ends(Scope(tuple(plan.goals))), lambda *_: None, lambda _: True)
    schedule = some_room(plan)
    assert build(agenda, Instant(), lambda ready: ready, lambda _: None, schedule=schedule) == {}
    assert not agenda.unfinished()


def passed(plan: Plan) -> None:
    """The same, and what was made on the way goes as soon as nothing needs it."""
    here: set[Digest] = set()

    class Keeping(Instant):
        def wait(self):
            done = super().wait()
            here.update(file.digest for file in done.outcome.tree.files)
            return done

    def drop(files):
        here.difference_update(files)
        return set()

    ends, passing = plan.ends(Scope(tuple(plan.goals))), Intermediates(plan, drop)
    agenda = Agenda(
        plan, ends, lambda *_: None, lambda tree: here >= {file.digest for file in tree.files}
    )
    let_go = partial(passing.let_go, [agenda])
    assert build(
        agenda, Keeping(), lambda ready: ready, lambda _: None,
        schedule=some_room(plan), let_go=let_go,
    ) == {}  # fmt: skip
    assert not any(Digest(id_) in here for id_ in between(plan))
    assert all(Digest(id_) in here for id_ in ends)


def each_target(plan: Plan) -> None:
    """What commands ask of every target by itself."""
    for target, goal in plan.goals.items():
        plan.chain((goal.model, *goal.checks))
        Agenda(plan, plan.ends(Scope((target,))), lambda *_: None, lambda _: False)


def operations(work: Callable[[], object]) -> int:
    """How many instructions of Python's work takes: the same on every machine and in every run."""
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "work", [lambda n: planned(n), lambda n: built(PLANS[n]), lambda n: passed(PLANS[n]),
             lambda n: each_target(PLANS[n])],
    ids=["to plan", "to build", "to build and let go", "to ask of each target"],
)  # fmt: skip
def test_twice_the_models_are_twice_the_work(work):
    work(SIZES[0])  # what is done once for all is done
    one, two, four = (operations(lambda: work(n)) for n in SIZES)  # noqa: B023
    assert (four - two) == pytest.approx(2 * (two - one), rel=0.02)


SIZES = (4, 8, 16)
PLANS = {models: planned(models) for models in SIZES}


def test_a_plan_has_nine_steps_for_each_model():
    assert [len(PLANS[models].steps) for models in SIZES] == [36, 72, 144]


def test_each_step_of_a_cold_plan_is_looked_up_once():
    tree = Tree((File("a", Digest("a" * 64), 1),))
    steps, goals = {}, {}
    for model in range(300):
        step = Step(Kind.FETCH, ToolId("fetch", 1), {"n": model}, {}, f"m{model}", tree=tree)
        steps[step.id] = step
        for number in range(8):
            step = Step(
                Kind.CONVERT, ToolId("t", 1), {"n": number}, {"model": Input(step.id)}, f"m{model}"
            )
            steps[step.id] = step
        goals[f"m{model}:t"] = Goal(step.id, (), "x", "x")
    asked: list[StepKey] = []

    def find(key, ingredients):
        asked.append(key)

    plan = Plan(steps, goals)
    agenda = Agenda(plan, plan.ends(Scope(tuple(goals))), find, lambda tree: False)
    assert len(asked) <= 2 * 300 * 2  # the fetches and the first step behind each
    assert sum(agenda.state(id_) == "will-run" for id_ in steps) == 600
