"""Turns of steps that wait: as by the book, whatever comes and goes, and without looking at all."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from test_plan_scale import operations
from test_schedule import CAPACITIES, ready, started, would_fit

from cortexbuild.core.needs import Capacity, Needs
from cortexbuild.core.scheduling.minima import Minima
from cortexbuild.core.scheduling.queues import MOST_PASSED
from cortexbuild.core.scheduling.schedule import Line, Schedule

ITEMS = [ready(f"s{number}") for number in range(80)]


class Book:
    """The same rule by looking at all that waits and all that runs, every time."""

    def __init__(self, capacity, taken, ways):
        self.capacity, self.taken, self.ways = capacity, taken, ways
        known = sorted((id_ for id_ in taken if id_ in ways), key=lambda id_: -ways[id_])
        self.places = {id_: place for place, id_ in enumerate(known)}
        self.passed = dict.fromkeys(taken, 0)
        self.waiting, self.running = [], []

    def firsts(self):
        queues = {}
        for id_ in sorted(self.waiting, key=self.places.__getitem__):
            need = self.taken[id_]
            queues.setdefault((need.cores, need.gpu, need.net), id_)
        return list(queues.values())

    def due(self):
        due = [id_ for id_ in self.firsts() if self.passed[id_] >= MOST_PASSED]
        return sorted(due, key=lambda id_: (-self.passed[id_], self.places[id_]))

    def join(self, id_):
        self.places.setdefault(id_, len(self.places))
        if self.taken[id_].memory <= self.capacity.memory:
            self.waiting.append(id_)

    def start(self, slots):
        left = self.capacity
        for id_ in self.running:
            left = left.without(self.taken[id_])
        due, chosen = self.due(), []
        rest = [id_ for id_ in sorted(self.waiting, key=self.places.get) if id_ not in due]
        for id_ in (*due, *rest):
            fits = left.can_take(self.taken[id_], self.capacity) and len(chosen) < slots
            if fits:
                chosen.append(id_)
            if fits or id_ in due:
                left = left.without(self.taken[id_])
        self.waiting = [id_ for id_ in self.waiting if id_ not in chosen]
        self.running += chosen
        for id_ in self.firsts():
            way = self.ways.get(id_, 0)
            self.passed[id_] += sum(self.ways.get(other, 0) < way for other in chosen)
        return chosen


@settings(max_examples=300, deadline=None)
@given(CAPACITIES, st.integers(1, 4), st.integers(1, len(ITEMS)), st.integers())
def test_a_turn_is_as_by_the_book_and_what_is_due_is_kept_free(capacity, slots, count, seed):
    random, coming = Random(seed), ITEMS[:count]
    most = random.choice([(4, 1, 1, 1), (10, 3, 1, 1), (10, 1, 0, 0)])
    taken = {item.id: Needs(*(random.randint(0, n) for n in most)) for item in coming}
    ways = {id_: random.randint(0, 99) for id_ in taken if random.random() < 0.9}
    book, since = Book(capacity, taken, ways), {}
    line = Line(Schedule(capacity, lambda item: taken[item.id], lambda: ways))
    while coming or book.waiting or book.running:
        for _ in range(min(random.randint(0, 5), len(coming))):
            item = coming.pop()
            line.join([item])
            book.join(item.id)
        if book.waiting and random.random() < 0.1:
            gone = book.waiting.pop(random.randrange(len(book.waiting)))
            line.withdraw([gone, "never seen"])
        due, free = book.due(), slots - len(book.running)
        chosen = book.start(free)
        assert {item.id for item in started(line, free)} == set(chosen)
        since = {id_: since.get(id_, []) for id_ in due if id_ in book.waiting}
        for id_, later in since.items():
            later += [other for other in chosen if other not in due]
            beside = [taken[other] for other in later if other in book.running]
            assert would_fit(taken[id_], beside, capacity), "what it needs was not kept free"
        if book.running:
            line.leave(book.running.pop(random.randrange(len(book.running))))


def test_those_that_wait_for_one_thing_keep_nothing_else_from_the_others():
    """A hundred that want the accelerator keep one core free for the first of them, not all."""
    taken = {item.id: Needs(gpu=number % 4 == 0) for number, item in enumerate(ITEMS)}
    ways = {id_: 1 + 9.0 * need.gpu for id_, need in taken.items()}
    line = Line(Schedule(Capacity(jobs=4, gpu=1), lambda item: taken[item.id], lambda: ways))
    line.join(ITEMS)
    running = started(line, 9)
    assert [taken[item.id].gpu for item in running] == [1, 0, 0, 0]
    for _ in range(2 * MOST_PASSED):
        line.leave(running.pop().id)  # never the one on the accelerator
        running += started(line, 9)
        assert len(running) >= 3


@given(st.lists(st.tuples(st.integers(0, 40), st.none() | st.integers(0, 9)), max_size=60))
def test_the_first_place_with_so_much_at_most(changes):
    row, minima = {}, Minima()
    for place, number in changes:
        if number is None:
            row.pop(place, None)
            minima.clear(place)
        else:
            row[place] = number
            minima.set(place, number)
        for most in range(-1, 10):
            places = [place for place, number in row.items() if number <= most]
            assert minima.first(most) == min(places, default=None)


def all_run(items):
    """Half of them want more than is left beside the others, and each has other needs."""
    taken = {
        item.id: Needs(1000 + 2000 * (n % 2) + n, cores=n % 3 > 0) for n, item in enumerate(items)
    }
    ways = {item.id: float(n * 7919 % len(items)) for n, item in enumerate(items)}
    line = Line(Schedule(Capacity(6000, 3), lambda item: taken[item.id], lambda: ways))
    line.join(items)
    running, ended = started(line, 9), 0
    while running:
        line.leave(running.pop(-(ended % 2)).id)
        ended += 1
        running += started(line, 9)
    assert ended == len(items)


def test_eight_times_as_many_that_wait_are_little_more_than_eight_times_the_work():
    items = [ready(f"w{number}") for number in range(8 * 60)]
    few, many = (operations(lambda n=n: all_run(items[: n * 60])) for n in (1, 8))
    assert many < 1.3 * 8 * few  # since the tree has three levels more


def groups_run(items, per_mark):
    """All of them in groups, where there is room for two groups at once."""
    marks = {item.id: number // per_mark for number, item in enumerate(items)}
    ways = {item.id: float(n * 7919 % len(items)) for n, item in enumerate(items)}
    line = Line(
        Schedule(
            Capacity(2), lambda _: Needs(1), lambda: ways, together=lambda item: marks[item.id]
        )
    )
    line.join(items)
    ended = 0
    while groups := line.start(9):
        gone = [item for group in groups for item in group]
        for item in gone:
            line.leave(item.id)
        ended += len(gone)
    assert ended == len(items)


def test_eight_times_as_many_in_groups_are_little_more_than_eight_times_the_work():
    items = [ready(f"w{number}") for number in range(8 * 60)]
    for shares in (4, 15):
        few, many = (operations(lambda n=n: groups_run(items[: n * 60], shares)) for n in (1, 8))  # noqa: B023
        assert many < 1.3 * 8 * few
