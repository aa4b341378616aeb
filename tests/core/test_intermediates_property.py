"""How long the bytes of intermediates are kept: over random plans, and with a store that counts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from test_agenda_property import TOOL, World, from_scratch, plans, trace_of

from cortexbuild.app.build import After, build
from cortexbuild.app.intermediates import Intermediates, between
from cortexbuild.core.digest import File, Tree, digest_value
from cortexbuild.core.plan import Goal, Plan
from cortexbuild.core.step import Input, Kind, Step


class Counting(World):
    """A store that counts its bytes, of steps that make as many as their `size`."""

    def __init__(self, plan, pick, sizes):
        super().__init__(plan, pick)
        self.sizes, self.most, self.gone = sizes, 0, []

    def drop(self, files):
        self.gone.append(files & self.bytes)
        self.bytes -= files
        return set()

    def keep(self, trace):
        super().keep(trace)
        held = [i for i, s in self.sizes.items() if (t := self.tree(i)) and self.is_here(t)]
        held += [i for i in self.sizes if self.plan.steps[i].label == trace.label]
        self.most = max(self.most, sum(self.sizes[i] for i in set(held)))

    def tree(self, id_):
        return self.agenda_now.tree(id_)

    def build(self, *, keep_going=False, later=frozenset()):
        self.ran, self.events = [], []
        self.agenda_now = self.agenda()
        passing = Intermediates(self.plan, self.drop, later)
        return build(
            self.agenda_now, self, lambda ready: ready, self.events.append,
            after=After("go-on"), let_go=lambda: passing.let_go([self.agenda_now]),
        )  # fmt: skip


def family(count=5):
    """A source (10 bytes), its f16 (100), and targets that are made of that (25 each)."""
    content = digest_value("content", 0)
    tree = Tree((File("a", content, 1), File("b", content, 1)))
    source = Step(Kind.FETCH, TOOL, {"n": 0, "dull": False}, {}, "source", tree=tree)
    f16 = Step(Kind.CONVERT, TOOL, {"n": 0, "dull": False}, {"model": Input(source.id)}, "f16")
    steps, sizes = {source.id: source, f16.id: f16}, {source.id: 10, f16.id: 100}
    goals = {}
    for number in range(count):
        params = {"n": number + 1, "dull": False}
        step = Step(Kind.QUANTIZE, TOOL, params, {"model": Input(f16.id)}, f"q{number}")
        steps[step.id], sizes[step.id] = step, 25
        goals[f"q{number}"] = Goal(step.id, (), "x", "x")
    return Plan(steps, goals), f16.id, sizes


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_one_f16_lives_as_long_as_the_last_that_reads_it(data):
    plan, f16, sizes = family()
    world = Counting(plan, data, sizes)
    assert world.build() == {}
    assert world.ran.count(f16) == 1 and len(world.ran) == len(plan.steps)
    assert world.most <= 10 + 100 + 5 * 25
    (files,) = [gone for gone in world.gone if gone]
    tree = world.tree(f16)
    assert files == {file.digest for file in tree.files} and not world.is_here(tree)
    assert all(world.is_here(world.tree(goal.model)) for goal in plan.goals.values())
    assert world.build() == {} and world.ran == [], "a second build ran something"


@settings(max_examples=300, deadline=None)
@given(plan=plans(), data=st.data())
def test_targets_and_sources_stay_and_the_next_build_has_nothing_to_do(plan, data):
    truth = from_scratch(plan)
    world = Counting(plan, data, {})
    for id_ in data.draw(st.sets(st.sampled_from(list(plan.steps)))):
        trace = trace_of(plan.steps[id_], truth, truth[id_])
        world.traces[trace.key] = trace
        if data.draw(st.booleans()):
            world.bytes |= {file.digest for file in trace.tree.files}
    assert world.build() == {}
    for goal in plan.goals.values():
        assert world.tree(goal.model) == truth[goal.model] and world.is_here(truth[goal.model])
    passing = between(plan)
    for id_ in passing & set(world.ran):
        files = {file.digest for file in truth[id_].files}
        others = [truth[other] for other in plan.steps if other not in passing]
        shared = {file.digest for tree in others for file in tree.files}
        assert not (files - shared) & world.bytes, "an intermediate stayed"
    assert world.build() == {} and world.ran == [], "a second build ran something"


@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_what_another_way_may_need_stays_until_it_is_known(data):
    plan, f16, sizes = family(1)
    world = Counting(plan, data, sizes)
    assert world.build(later=frozenset({f16})) == {}
    assert world.is_here(world.tree(f16))


class Busy(Counting):
    """A store that another command uses when something is to go for the first time."""

    def drop(self, files):
        return super().drop(files) if self.gone else self.gone.append(frozenset()) or set()


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_what_could_not_go_goes_with_the_next(data):
    first, f16, _ = family(1)
    params = {"n": 9, "dull": False}
    other = Step(Kind.CONVERT, TOOL, params, first.steps[f16].inputs, "f16-9")
    end = Step(Kind.QUANTIZE, TOOL, params, {"model": Input(other.id)}, "q-9")
    goals = {**first.goals, "q-9": Goal(end.id, (), "x", "x")}
    plan = Plan({**first.steps, other.id: other, end.id: end}, goals)
    world = Busy(plan, data, {})
    assert world.build() == {}
    assert not any(world.is_here(world.tree(id_)) for id_ in (f16, other.id))
    assert all(world.is_here(world.tree(goal.model)) for goal in goals.values())


class Racing(World):
    """A world in which a file of what was just made goes, once, as part of something else."""

    def wait(self):
        done = super().wait()
        if self.ran.count(done.id) == 1 and self.plan.steps[done.id].tree is None:
            self.bytes -= {file.digest for file in done.outcome.tree.files[:1]}
        return done


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_what_is_gone_when_its_step_ends_is_made_again(data):
    plan, f16, _ = family(2)
    world = Racing(plan, data)
    assert world.build() == {}
    assert world.ran.count(f16) == 2
    assert all(world.is_here(world.agenda_now.tree(goal.model)) for goal in plan.goals.values())
