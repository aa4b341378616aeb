"""Which steps run beside each other: never more than there is, never less than fits."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_agenda_property import World, from_scratch, plans

from cortexbuild.app.build import After, build
from cortexbuild.core.needs import GIB, MIB, Capacity, Needs, bounded, holding, streaming
from cortexbuild.core.plan import Goal, Plan
from cortexbuild.core.scheduling.agenda import Ready
from cortexbuild.core.scheduling.forecast import Foreseen, forecast
from cortexbuild.core.scheduling.queues import MOST_PASSED
from cortexbuild.core.scheduling.schedule import Line, Schedule, misfit, ways
from cortexbuild.core.step import Input, Kind, Step, StepKey, ToolId

SIZES = st.integers(0, 10)


@st.composite
def needs(draw):
    return Needs(
        draw(SIZES), draw(st.integers(0, 3)), draw(st.integers(0, 1)), draw(st.integers(0, 1))
    )


CAPACITIES = st.builds(
    Capacity, st.integers(5, 12), st.integers(1, 3), st.integers(0, 1), st.integers(1, 2)
)


def within(running, capacity):
    """With what one step alone may have counted as no more than there is."""
    assert sum(n.memory for n in running) <= capacity.memory
    assert sum(min(n.cores, capacity.jobs) for n in running) <= capacity.jobs
    assert sum(min(n.gpu, capacity.gpu) for n in running) <= capacity.gpu
    assert sum(min(n.net, capacity.net) for n in running) <= capacity.net


def would_fit(new, running, capacity):
    try:
        within([*running, new], capacity)
    except AssertionError:
        return False
    return True


class Measured(World):
    """A world whose steps take something; it looks at each start and at each wait. Steps of one
    of the `marks` start together."""

    def __init__(self, plan, pick, taken, capacity, slots, marks):
        super().__init__(plan, pick)
        self.taken, self.capacity, self.slots = taken, capacity, slots
        self.marks, self.groups = marks, []
        self.joined = {}
        self.seconds = {id_: pick.draw(st.integers(1, 9)) for id_ in plan.steps}

    def free(self):
        return self.slots - len(self.running())

    def running(self):
        here = {item.id for item in self.queue}
        self.groups = [group for group in self.groups if here & group.keys()]
        return [next(iter(group.values())) for group in self.groups]

    def start(self, *group):
        super().start(*group)
        self.groups.append({ready.id: self.joined.pop(ready.id) for ready in group})
        within(self.running(), self.capacity)
        (mark,) = {self.together(ready) for ready in group}
        assert len(group) == 1 or mark is not None
        alike = (id_ for id_ in self.joined if mark is not None and self.marks[id_] == mark)
        assert all(self.joined[id_] != self.taken[group[0].id] for id_ in alike), "left behind"

    def together(self, ready):
        return self.marks[ready.id]

    def wait(self):
        if len(self.running()) < self.slots and len(self.plan.steps) <= MOST_PASSED:
            for new in self.joined.values():
                fits_alone = new.memory <= self.capacity.memory
                assert not (fits_alone and would_fit(new, self.running(), self.capacity)), "idle"
        return super().wait()

    def needs(self, ready):
        return self.joined.setdefault(ready.id, self.taken[ready.id])

    def build(self, *, keep_going=True):
        self.ran, self.events = [], []
        self.agenda_now = self.agenda()
        schedule = Schedule(
            self.capacity,
            self.needs,
            lambda: ways(self.plan, self.seconds),
            together=self.together,
        )
        return build(
            self.agenda_now, self, lambda ready: ready, self.events.append,
            after=After("go-on"), schedule=schedule,
        )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(plan=plans(distinct=True), data=st.data(), capacity=CAPACITIES, slots=st.integers(1, 4))
def test_what_runs_fits_nothing_that_fits_waits_and_all_ends_as_from_scratch(
    plan, data, capacity, slots
):
    taken = {id_: data.draw(needs()) for id_ in plan.steps}
    marks = {id_: data.draw(st.sampled_from((None, None, "a", "b"))) for id_ in plan.steps}
    world = Measured(plan, data, taken, capacity, slots, marks)
    failed = world.build()
    too_large = {id_ for id_, need in taken.items() if need.memory > capacity.memory}
    assert failed.keys() <= too_large and not too_large & set(world.ran)
    assert len(world.ran) == len(set(world.ran)), "started twice"
    truth, blocked = from_scratch(plan), set(too_large)
    for id_, step in plan.steps.items():
        if any(item.step in blocked for item in step.inputs.values()):
            blocked.add(id_)
    for goal in plan.goals.values():
        if goal.model not in blocked:
            assert world.agenda_now.tree(goal.model) == truth[goal.model]


def chain_of(length):
    """Steps that read each other in turn, and the plan of them."""
    steps, before = {}, None
    for number in range(length):
        inputs = {"model": Input(before)} if before else {}
        step = Step(Kind.CONVERT, ToolId("fake", 1), {"n": number}, inputs, f"s{number}")
        before = step.id
        steps[step.id] = step
    return Plan(steps, {"t": Goal(before, (), "x", "x")})


def ready(name):
    step = Step(Kind.CONVERT, ToolId("fake", 1), {"n": name}, {}, name)
    return Ready(step.id, step, StepKey(name), {}, {})


def line_of(capacity, taken, lengths):
    items = {name: ready(name) for name in taken}
    by_id = {item.id: name for name, item in items.items()}
    schedule = Schedule(
        capacity,
        lambda item: taken[by_id[item.id]],
        lambda: {id_: lengths[name] for id_, name in by_id.items()},
    )
    return Line(schedule), items


def started(line, slots):
    """Those that start now, of whichever group."""
    return [item for group in line.start(slots) for item in group]


def test_the_longest_way_goes_first():
    one = Needs(1)
    lengths = {"short": 1.0, "long": 9.0, "middle": 5.0}
    line, items = line_of(Capacity(jobs=1), dict.fromkeys(lengths, one), lengths)
    order = []
    line.join(items.values())
    for _ in items:
        (item,) = started(line, 9)
        order.append(item.step.label)
        line.leave(item.id)
    assert order == ["long", "middle", "short"]


def test_a_small_one_starts_beside_what_runs_where_a_large_one_before_it_does_not_fit():
    line, items = line_of(
        Capacity(10), {"runs": Needs(6), "large": Needs(5), "small": Needs(4)},
        {"runs": 9.0, "large": 5.0, "small": 1.0},
    )  # fmt: skip
    line.join(items.values())
    assert [item.step.label for item in started(line, 9)] == ["runs", "small"]


def test_a_large_step_is_not_starved_by_small_ones_that_keep_coming():
    lengths = {"large": 9.0} | {f"s{n}": 1.0 for n in range(60)}
    taken = {"large": Needs(10)} | {f"s{n}": Needs(5) for n in range(60)}
    line, items = line_of(Capacity(10), taken, lengths)
    small = (items.pop(f"s{n}") for n in range(60))
    running = []
    for turn in count():
        line.join([next(small), next(small)])
        if turn == 1:  # something runs when it comes to be ready
            line.join([items["large"]])
        new = started(line, 9)
        running += new
        if items["large"] in new:
            break
        line.leave(running.pop(0).id)  # one at a time: there is never room for a large one
        assert turn < 2 * MOST_PASSED, "it waits for ever"
    assert running == [items["large"]]


def test_a_fetch_needs_no_job_and_an_accelerator_that_is_not_there_nobody():
    taken = {"work": Needs(1, gpu=1), "fetch": Needs(1, cores=0, net=1), "more": Needs(1, gpu=1)}
    for capacity, expected in (
        (Capacity(jobs=1), {"work", "fetch"}),
        (Capacity(jobs=2), {"work", "fetch", "more"}),
        (Capacity(jobs=2, gpu=1), {"work", "fetch"}),
        (Capacity(jobs=2, net=0), {"work", "fetch", "more"}),
    ):
        line, items = line_of(capacity, taken, {"work": 9.0, "fetch": 5.0, "more": 1.0})
        line.join(items.values())
        assert {item.step.label for item in started(line, 9)} == expected


def test_more_cores_than_there_are_is_all_of_them():
    line, items = line_of(
        Capacity(jobs=2),
        {"wide": Needs(1, cores=8), "other": Needs(1)},
        {"wide": 9.0, "other": 1.0},
    )
    line.join(items.values())
    assert [item.step.label for item in started(line, 9)] == ["wide"]


def together_of(capacity, taken, lengths, together):
    """A line of steps that start together by what `together` says of their names."""
    line, items = line_of(capacity, taken, lengths)
    line = Line(replace(line._schedule, together=lambda item: together.get(item.step.label)))
    line.join(items.values())
    return line, items


def labels(groups):
    return [[item.step.label for item in group] for group in groups]


FOUR = {"q4": Needs(4), "other": Needs(4), "q5": Needs(4), "q8": Needs(4)}
ALIKE = dict.fromkeys(("q4", "q5", "q8"), "same source")


@pytest.mark.parametrize(("memory", "slots"), [(8, 2), (8, 9), (99, 2), (99, 9)])
def test_those_that_can_be_done_together_start_together_and_take_as_much_as_one(memory, slots):
    lengths = {"q4": 1.0, "other": 2.0, "q5": 1.0, "q8": 9.0}
    line, items = together_of(Capacity(memory), FOUR, lengths, ALIKE)
    groups = labels(line.start(slots))
    assert sorted(groups) == [["other"], ["q4", "q5", "q8"]], "in the order of the line"
    assert line.start(9) == []


def test_what_a_group_takes_is_taken_until_its_last_has_left():
    line, items = together_of(Capacity(4), FOUR, dict.fromkeys(FOUR, 1.0) | {"q5": 9.0}, ALIKE)
    assert labels(line.start(9)) == [["q4", "q5", "q8"]]
    for name in ("q8", "q4"):
        line.leave(items[name].id)
        assert line.start(9) == []
    line.leave(items["q5"].id)
    assert labels(line.start(9)) == [["other"]]


def test_who_needs_something_else_or_is_withdrawn_does_not_start_with_a_group():
    needs_more = FOUR | {"q5": Needs(4, cores=0)}
    line, items = together_of(Capacity(99), needs_more, dict.fromkeys(FOUR, 1.0), ALIKE)
    line.withdraw([items["q8"].id, items["other"].id])
    assert labels(line.start(9)) == [["q4"], ["q5"]]
    line.join([items["q8"]])
    assert labels(line.start(9)) == [["q8"]]


def test_what_does_not_fit_says_what_it_needs_what_there_is_and_what_to_do():
    failure = misfit(Needs(20 * GIB), Capacity(12 * GIB))
    assert failure.message == "it needs about 20.00 GiB of memory, and there are 12.00 GiB"
    assert "another recipe" in failure.hint and "`resources: {memory: …}`" in failure.hint
    assert misfit(Needs(12 * GIB), Capacity(12 * GIB)) is None


def test_a_way_is_as_long_as_all_that_waits_for_its_end():
    plan = chain_of(3)
    first, middle, last = plan.steps
    assert ways(plan, {first: 1.0, middle: 2.0, last: 3.0}) == {first: 6.0, middle: 5.0, last: 3.0}
    assert ways(plan, {middle: 2.0}) == {middle: 2.0}


def family():
    """A source of 10 bytes, its f16 of 100, and four quantizations of it of 25 each."""
    source, f16 = chain_of(2).steps.values()
    steps = {step.id: step for step in (source, f16)}
    sizes = {source.id: 10, f16.id: 100}
    for number in range(4):
        inputs = {"model": Input(f16.id)}
        step = Step(Kind.QUANTIZE, ToolId("fake", 1), {"n": number}, inputs, f"q{number}")
        steps[step.id], sizes[step.id] = step, 25
    return Plan(steps, {}), f16.id, sizes


@pytest.mark.parametrize("jobs", [1, 2, 9])
def test_a_forecast_counts_what_is_there_at_once(jobs):
    plan, f16, sizes = family()
    coming = {id_: Foreseen(size, 2.0, Needs(size)) for id_, size in sizes.items()}
    room = Capacity(1000, jobs)
    kept = forecast(plan, coming, room, frozenset())
    assert kept.written == kept.peak == 210
    assert kept.seconds == 2 + 2 + 2 * -(-4 // jobs)
    assert kept.memory == max(100, 25 * min(jobs, 4))
    # One step more, which is made of a quantization after the f16 has gone.
    (last,) = [id_ for id_ in plan.steps if plan.steps[id_].label == "q3"]
    more = Step(Kind.QUANTIZE, ToolId("fake", 1), {"n": 9}, {"model": Input(last)}, "more")
    longer = Plan({**plan.steps, more.id: more}, {})
    coming[more.id] = Foreseen(80, 99.0, Needs(1))
    assert forecast(longer, coming, Capacity(1000, jobs), frozenset()).peak == 290
    passing = forecast(longer, coming, Capacity(1000, jobs), frozenset({f16}))
    assert passing.written == 290
    assert passing.peak == {1: 290, 2: 290, 9: 210}[jobs]  # alone, the longest way goes first


def test_a_forecast_looks_for_the_longest_ways_once(monkeypatch):
    """Else a plan of 900 steps takes five seconds."""
    asked = []

    def watched(*args):
        asked.append(args)
        return ways(*args)

    monkeypatch.setattr("cortexbuild.core.scheduling.forecast.ways", watched)
    plan, _, sizes = family()
    coming = {id_: Foreseen(size, 2.0, Needs(size)) for id_, size in sizes.items()}
    forecast(plan, coming, Capacity(1000, 1), frozenset())
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("tell", "expected"),
    [
        (holding(MIB, 2), MIB + 2 * 8 * GIB),
        (holding(MIB, 1, 3), MIB + 8 * GIB + 3 * 16 * GIB),
        (streaming(MIB, 2), MIB + 2 * (GIB + 8 * GIB // 32)),
        (bounded(MIB, GIB), MIB + GIB),
    ],
)
def test_what_a_tool_takes_follows_from_the_sizes_of_its_inputs(tell, expected):
    sizes = {"model": 8 * GIB, "source": 16 * GIB}
    assert tell(None, sizes).memory == expected
    small = tell(None, {"model": MIB}).memory
    assert MIB < small <= 20 * MIB
    assert replace(tell(None, sizes), memory=0) == Needs()
