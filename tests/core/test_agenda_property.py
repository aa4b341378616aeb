"""The oracle: whatever the store holds beforehand, the targets come out the same.

It is the property of a correct build in "Build Systems à la Carte" (Mokhov, Mitchell, Peyton
Jones, 2018), for shallow constructive traces: every goal holds what computing it from scratch
gives, nothing that need not run runs, and a second build runs nothing.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cortexbuild.app.build import After, build
from cortexbuild.core.digest import File, Tree, digest_value
from cortexbuild.core.plan import Goal, Plan, Scope
from cortexbuild.core.ports import Done
from cortexbuild.core.scheduling.agenda import Agenda
from cortexbuild.core.step import Failure, Input, Kind, Step, ToolId, Trace, key_of

TOOL = ToolId("fake", 1)


@st.composite
def plans(draw, distinct=False):
    """Steps over each other; `n` is what they compute with, so some give the same output.

    Unless `distinct`, two steps may even have the same key or bring the same bytes, so that
    one is done with the other.
    """
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 9))):
        ins = draw(st.lists(st.integers(0, number - 1), max_size=3, unique=True)) if number else []
        inputs = {}
        for i in ins:
            reads = [("*",), ("a",)] if steps[i].tree is not None else [("*",), ("a",), ()]
            inputs[f"in{i}"] = Input(steps[i].id, draw(st.sampled_from(reads)))
        tree = None
        if not inputs:
            content = digest_value("content", number if distinct else draw(st.integers(0, 2)))
            tree = Tree((File("a", content, 1), File("b", content, 1)))
        params = {"n": draw(st.integers(0, 3)), "dull": draw(st.booleans())}
        if distinct:
            params["number"] = number
        kind = Kind.CONVERT if inputs else Kind.FETCH
        steps.append(Step(kind, TOOL, params, inputs, f"s{number}", tree=tree))
    by_id = {step.id: step for step in steps}
    goals = draw(st.lists(st.sampled_from(list(by_id)), min_size=1, max_size=3, unique=True))
    return Plan(by_id, {f"t{i}": Goal(id_, (), "x", "x") for i, id_ in enumerate(goals)})


def compute(step: Step, trees: dict) -> Tree:
    """A dull step looks at less than it reads, so different inputs may give one output."""
    if step.tree is not None:
        return step.tree
    seen = {
        role: dict(trees[item.step].project(item.reads))
        for role, item in step.inputs.items()
        if item.reads
    }
    content = len(str(seen)) % 2 if step.params["dull"] else seen
    digest = digest_value("fake", [step.params["n"], step.params.get("number"), content])
    half = digest_value("half", [step.params["n"], step.params.get("number")])
    return Tree((File("a", digest, 1), File("b", half, 1)))


def trace_of(step: Step, trees: dict, tree: Tree) -> Trace:
    inputs = {role: trees[i.step] for role, i in step.inputs.items() if i.reads}
    ingredients = step.ingredients(inputs)
    return Trace(key_of(ingredients), ingredients, tree, step.label, {})


def from_scratch(plan: Plan) -> dict:
    trees: dict = {}
    for id_, step in plan.steps.items():
        trees[id_] = compute(step, trees)
    return trees


class World:
    """A store and an executor in memory; finishes jobs in an order that hypothesis picks."""

    def __init__(self, plan, pick, broken=frozenset()):
        self.plan, self.pick, self.broken = plan, pick, broken
        self.traces, self.bytes = {}, set()
        self.queue, self.ran = [], []

    def agenda(self):
        return Agenda(
            self.plan, self.plan.ends(Scope(tuple(self.plan.goals))), self.find, self.is_here
        )

    def find(self, key, ingredients):
        return self.traces.get(key)

    def is_here(self, tree):
        return {file.digest for file in tree.files} <= self.bytes

    def keep(self, trace):
        self.traces[trace.key] = trace
        self.bytes |= {file.digest for file in trace.tree.files}

    def free(self):
        return self.pick.draw(st.integers(-1, 2))

    def start(self, *group):
        for ready in group:
            for tree in ready.inputs.values():
                assert self.is_here(tree), "started before its inputs were here"
            for item in ready.step.inputs.values():
                assert item.reads or item.step in self.ran or self.known(item.step), "gate was open"
            self.queue.append(ready)

    def known(self, id_):
        return self.agenda_now.tree(id_) is not None

    def wait(self):
        ready = self.queue.pop(self.pick.draw(st.integers(0, len(self.queue) - 1)))
        self.ran.append(ready.id)
        if ready.id in self.broken:
            return Done(ready.id, Failure("broken"))
        trees = {id_: self.agenda_now.tree(id_) for id_ in self.plan.steps}
        trace = trace_of(ready.step, trees, compute(ready.step, trees))
        assert trace.key == ready.key
        self.keep(trace)
        return Done(ready.id, trace)

    def close(self):
        pass

    def build(self, *, keep_going=False):
        self.ran = []
        self.agenda_now = self.agenda()
        self.events = []
        return build(
            self.agenda_now,
            self,
            lambda ready: ready,
            self.events.append,
            after=After("go-on" if keep_going else "finish"),
        )


def with_history(plan, data, truth):
    """A world that remembers any part of an earlier build, and has any part of its bytes."""
    world = World(plan, data)
    for id_ in data.draw(st.sets(st.sampled_from(list(plan.steps)))):
        trace = trace_of(plan.steps[id_], truth, truth[id_])
        world.traces[trace.key] = trace
    every = sorted({file.digest for tree in truth.values() for file in tree.files})
    world.bytes = set(data.draw(st.sets(st.sampled_from(every))))
    return world


@settings(max_examples=400, deadline=None)
@given(plan=plans(), data=st.data())
def test_any_history_gives_the_same_targets(plan, data):
    truth = from_scratch(plan)
    world = with_history(plan, data, truth)
    before = dict(world.traces)
    held = set(world.bytes)
    assert world.build() == {}

    assert len(world.ran) == len(set(world.ran)), "a step ran twice"
    for goal in plan.goals.values():
        assert world.agenda_now.tree(goal.model) == truth[goal.model]
        assert world.is_here(truth[goal.model])
    for id_ in world.ran:  # nothing ran that had a trace and its bytes
        key = trace_of(plan.steps[id_], truth, truth[id_]).key
        whole = {file.digest for file in truth[id_].files} <= held
        assert not (key in before and whole)
    assert world.build() == {} and world.ran == [], "a second build ran something"


@settings(max_examples=200, deadline=None)
@given(plan=plans(distinct=True), data=st.data())
def test_the_plan_says_what_then_happens(plan, data):
    truth = from_scratch(plan)
    world = with_history(plan, data, truth)
    before = world.agenda()
    will = {id_ for id_ in plan.steps if before.state(id_) == "will-run"}
    may = {id_ for id_ in plan.steps if before.state(id_) == "may-run"}
    world.build()
    # A step that may run may, once it is known that it must, need bytes that are gone.
    gone = {
        item.step
        for id_ in set(world.ran) & (may | will)
        for item in plan.steps[id_].inputs.values()
    }
    # Bytes that were lost may come back with another step that makes the same ones.
    assert all(id_ in before.traces for id_ in will - set(world.ran))
    extra = set(world.ran) - will - may
    while extra & gone:
        extra -= gone
        gone |= {i.step for id_ in gone for i in plan.steps[id_].inputs.values()}
    assert not extra


@settings(max_examples=200, deadline=None)
@given(plan=plans(), data=st.data())
def test_nothing_above_a_hit_is_fetched(plan, data):
    """With every trace and only the goals' bytes, nothing runs: no weights for a cached result."""
    truth = from_scratch(plan)
    world = World(plan, data)
    for id_, step in plan.steps.items():
        trace = trace_of(step, truth, truth[id_])
        world.traces[trace.key] = trace
    goals = [truth[goal.model] for goal in plan.goals.values()]
    world.bytes = {file.digest for tree in goals for file in tree.files}
    world.build()
    assert world.ran == []


@settings(max_examples=300, deadline=None)
@given(plan=plans(distinct=True), data=st.data(), keep_going=st.booleans())
def test_a_failure_blocks_what_needs_it_and_nothing_else(plan, data, keep_going):
    broken = data.draw(st.sets(st.sampled_from(list(plan.steps)), max_size=3))
    world = World(plan, data, broken)
    failed = world.build(keep_going=keep_going)
    assert set(failed) == broken & set(world.ran)

    below = set()  # everything that needs a broken step
    for id_, step in plan.steps.items():
        if any(item.step in broken | below for item in step.inputs.values()):
            below.add(id_)
    assert not below & set(world.ran)
    wanted = set()
    stack = [goal.model for goal in plan.goals.values()]
    while stack:
        id_ = stack.pop()
        wanted.add(id_)
        # A gate is looked at when its step's key is known, which a blocked step's never is.
        inputs = plan.steps[id_].inputs.values()
        stack += [item.step for item in inputs if item.reads or id_ not in below]
    if keep_going:
        last = {event.step: event.change for event in world.events}
        for id_ in wanted - below - broken:
            assert world.agenda_now.tree(id_) is not None
        assert {id_ for id_, change in last.items() if change == "failed"} == set(failed)
    for name, goal in plan.goals.items():
        if goal.model in below | broken:
            assert not world.agenda_now.is_done(world.plan.goals[name])
