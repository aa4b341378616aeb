"""The agenda with a team's cache: what is pulled, what is built instead, what stays consistent."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_agenda_property import TOOL, World, compute, from_scratch, plans, trace_of

from cortexbuild.app.build import After, build
from cortexbuild.core.digest import File, Tree, digest_value
from cortexbuild.core.plan import Goal, Plan, Scope
from cortexbuild.core.ports import Done
from cortexbuild.core.scheduling.agenda import Agenda, Elsewhere
from cortexbuild.core.step import Failure, Input, Kind, Step, Trace, key_of


def digests(tree):
    return {file.digest for file in tree.files}


class Team(World):
    """A world with a remote: what another machine made, some of it lost, some that cannot come.

    `moody` steps give other bytes here than they did there.
    """

    def __init__(self, plan, pick, moody=frozenset()):
        super().__init__(plan, pick)
        self.moody, self.there, self.remote, self.lost = moody, {}, set(), set()
        self.pulled = []

    def fill(self, lost=frozenset()):
        for trace in team_traces(self.plan).values():
            self.there[trace.key] = trace
            self.remote |= digests(trace.tree)
        self.remote -= set(lost)

    def agenda(self):
        return Agenda(
            self.plan,
            self.plan.ends(Scope(tuple(self.plan.goals))),
            self.find,
            self.is_here,
            elsewhere=Elsewhere(lambda step, tree: digests(tree) <= self.remote | self.bytes),
        )

    def find(self, key, ingredients):
        return self.traces.get(key) or self.there.get(key)

    def make(self, ready):
        """A job's outcome, as a worker would have it."""
        if ready.pull is not None:
            if ready.id in self.lost:
                return Done(ready.id, Failure("it went away"))
            self.pulled.append(ready.id)
            trace = self.find(ready.key, ready.ingredients)
            self.bytes |= digests(ready.pull)
            return Done(ready.id, trace or trace_of(ready.step, {}, ready.pull), pulled={"team": 1})
        for tree in ready.inputs.values():
            assert self.is_here(tree), "started before its inputs were here"
        self.ran.append(ready.id)
        tree = compute(ready.step, self.trees_of(ready))
        if ready.id in self.moody and ready.step.tree is None:
            tree = Tree(tuple(File(f.path, digest_value("other", f.digest), 1) for f in tree.files))
        trace = Trace(ready.key, ready.ingredients, tree, ready.step.label, {})
        self.traces[trace.key] = trace
        self.bytes |= digests(tree)
        return Done(ready.id, trace)

    def trees_of(self, ready):
        return {
            item.step: ready.inputs[role] for role, item in ready.step.inputs.items() if item.reads
        }


class Executor:
    def __init__(self, world):
        self.world, self.queue = world, []

    def free(self):
        return 2 - len(self.queue)

    def start(self, *group):
        self.queue += group

    def wait(self):
        return self.world.make(self.queue.pop(self.world.pick.draw(
            st.integers(0, len(self.queue) - 1))))  # fmt: skip

    def close(self):
        pass


def team_traces(plan):
    trees = from_scratch(plan)
    return {id_: trace_of(step, trees, trees[id_]) for id_, step in plan.steps.items()}


def run(world, **after):
    agenda = world.agenda()
    failed = build(
        agenda, Executor(world), lambda ready: ready, lambda _: None, after=After(**after)
    )
    return agenda, failed


def check(world, agenda):
    """All goals are here, and every record stands on what its inputs really came to."""
    for goal in world.plan.goals.values():
        assert agenda.is_done(goal) and world.is_here(agenda.tree(goal.model))
    for id_, trace in agenda.traces.items():
        step = world.plan.steps[id_]
        trees = {r: agenda.tree(i.step) for r, i in step.inputs.items() if i.reads}
        if None not in trees.values():
            assert key_of(step.ingredients(trees)) == trace.key, step.label
        assert agenda.tree(id_) == trace.tree


@settings(max_examples=300, deadline=None)
@given(plans(distinct=True), st.data())
def test_whatever_a_remote_has_and_loses_the_end_is_right(plan, pick):
    everything = sorted({d for tree in from_scratch(plan).values() for d in digests(tree)})
    ids = list(plan.steps)
    moody = pick.draw(st.sets(st.sampled_from(ids)))
    world = Team(plan, pick, frozenset(moody))
    world.fill(pick.draw(st.sets(st.sampled_from(everything))))
    world.lost = pick.draw(st.sets(st.sampled_from(ids)))
    agenda, failed = run(world)
    assert failed == {}
    check(world, agenda)
    again = world.agenda()
    assert again.unfinished() == (), "and a second sync has nothing to do"


@settings(max_examples=100, deadline=None)
@given(plans(distinct=True), st.data())
def test_with_all_of_it_there_nothing_runs_and_only_goals_come(plan, pick):
    world = Team(plan, pick)
    world.fill()
    agenda, failed = run(world, pull="fail")
    assert failed == {} and world.ran == []
    assert set(world.pulled) <= {goal.model for goal in plan.goals.values()}
    check(world, agenda)


class Cluster(Team):
    """Steps run elsewhere, and what they make is in the remote; here is only what is asked for."""

    def ends(self):
        return self.plan.ends(Scope(tuple(self.plan.goals)))

    def agenda(self):
        known = Elsewhere(
            lambda step, tree: digests(tree) <= self.remote | self.bytes,
            lambda tree: digests(tree) <= self.remote | self.bytes,
        )
        return Agenda(self.plan, self.ends(), self.find, self.is_here, elsewhere=known)

    def make(self, ready):
        if ready.pull is not None:
            assert ready.id in self.ends(), "brought though nobody here wants it"
            return super().make(ready)
        self.ran.append(ready.id)
        assert all(digests(tree) <= self.remote | self.bytes for tree in ready.inputs.values())
        tree = compute(ready.step, self.trees_of(ready))
        trace = Trace(ready.key, ready.ingredients, tree, ready.step.label, {})
        self.traces[trace.key] = trace
        self.remote |= digests(tree)
        if ready.id in self.ends():
            self.bytes |= digests(tree)
        return Done(ready.id, trace)


@settings(max_examples=200, deadline=None)
@given(plans(distinct=True), st.data())
def test_where_steps_run_elsewhere_only_the_ends_come_here(plan, pick):
    everything = sorted({d for tree in from_scratch(plan).values() for d in digests(tree)})
    world = Cluster(plan, pick)
    world.fill(pick.draw(st.sets(st.sampled_from(everything))))
    agenda, failed = run(world)
    assert failed == {}
    check(world, agenda)
    assert world.agenda().unfinished() == ()
    ends = [agenda.tree(id_) for id_ in world.ends()]
    assert world.bytes <= {digest for tree in ends for digest in digests(tree)}


def chain(*names):
    """Steps that each read the one before."""
    source = Tree((File("a", digest_value("content", 0), 1),))
    steps = [Step(Kind.FETCH, TOOL, {"n": 0, "dull": False}, {}, "source", tree=source)]
    for name in names:
        inputs = {"model": Input(steps[-1].id)}
        params = {"n": len(steps), "dull": False, "number": len(steps)}
        steps.append(Step(Kind.CONVERT, TOOL, params, inputs, name))
    plan = {step.id: step for step in steps}
    return Plan(plan, {"t": Goal(steps[-2].id, (steps[-1].id,), "x", "x")}), steps


@dataclass
class Always:
    """Picks what was started first, or with -1 what was started last."""

    place: int = 0

    def draw(self, _):
        return self.place


def test_what_comes_out_differently_is_not_judged_by_the_old_record():
    plan, (_, model, judged) = chain("model", "validate")
    world = Team(plan, Always(), moody=frozenset([model.id]))
    world.fill(lost=digests(from_scratch(plan)[model.id]))
    agenda, failed = run(world)
    assert failed == {} and judged.id in world.ran, "it was measured anew"
    check(world, agenda)


@pytest.mark.parametrize("lost", [True, False])
def test_what_is_on_its_way_when_its_input_comes_out_differently_is_made_anew(lost):
    """The third step's bytes are asked for while the second, whose bytes are lost, runs."""
    plan, (_, model, third, judged) = chain("model", "third", "validate")
    plan = Plan(plan.steps, {**plan.goals, "second": Goal(model.id, (), "x", "x")})
    world = Team(plan, Always(-1), moody=frozenset([model.id]))
    world.fill(lost=digests(from_scratch(plan)[model.id]))
    world.lost = {third.id} if lost else set()
    agenda, failed = run(world)
    assert failed == {} and {third.id, judged.id} <= set(world.ran)
    check(world, agenda)


def test_what_waits_to_be_pulled_is_not_ready_any_more_when_its_inputs_come_out_differently():
    plan, (source, model, middle, *later) = chain("model", "middle", "last", "validate")
    plan = Plan(plan.steps, {**plan.goals, "second": Goal(model.id, (), "x", "x")})
    world = Team(plan, Always(), moody=frozenset([model.id]))
    world.fill(lost=digests(from_scratch(plan)[model.id]))
    agenda = world.agenda()
    ready, gone = agenda.news()
    pulls = {step.id for step in later}
    assert {item.id for item in ready} == {source.id, *pulls} and not gone
    for step in (source, model):
        (item,) = (item for item in ready if item.id == step.id)
        agenda.start(step.id)
        agenda.finish(step.id, world.make(item).outcome)
        ready, gone = agenda.news()
    assert [item.id for item in ready] == [middle.id] and gone == pulls
    assert agenda.news() == ((), set())


def test_a_pull_that_fails_is_a_failure_where_nothing_may_be_built():
    plan, (_, model, judged) = chain("model", "validate")
    world = Team(plan, Always())
    world.fill()
    world.lost = {model.id}
    agenda, failed = run(world, pull="fail")
    assert list(failed) == [model.id] and world.ran == []
    assert not agenda.is_done(plan.goals["t"])
