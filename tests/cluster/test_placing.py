"""Which worker takes a step, and what becomes of one that none takes: with a made-up link."""

from __future__ import annotations

import platform
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
from workspace import PLUGIN

from cortexbuild.core.address import Address
from cortexbuild.core.events import Said
from cortexbuild.core.needs import GIB, Capacity, Needs
from cortexbuild.core.ports import Done, Job
from cortexbuild.core.step import Failure, Input, Kind, Step, StepId, ToolId, Trace, key_of
from cortexbuild.errors import RemoteError, UsageError
from cortexbuild.exec.cluster.beacon import beacon, shows
from cortexbuild.exec.cluster.crew import in_words
from cortexbuild.exec.cluster.executor import ClusterExecutor
from cortexbuild.exec.cluster.offer import (
    dask_version,
    differences,
    lacks,
    offer_from,
    offer_here,
)
from cortexbuild.exec.cluster.parcel import (
    MOST,
    Parcel,
    Report,
    lighten,
    whole_job,
    with_certificates,
)
from cortexbuild.exec.cluster.reach import Reach
from cortexbuild.exec.cluster.terms import Terms
from cortexbuild.exec.pool import Pool
from cortexbuild.remotes import open_remote
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch
from cortexbuild.testing import tree_of

WORKER = Capacity(memory=4 * GIB, jobs=1)
NOTHING = Needs()


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGIN))
    opened = LocalStore(tmp_path / "store")
    yield opened
    opened.close()


@dataclass
class Scheduler:
    """Does as the tests say, in the place of Dask's."""

    offers: dict[str, object] = field(default_factory=dict)
    sent: list[tuple[str, Parcel]] = field(default_factory=list)
    outcomes: dict[str, object] = field(default_factory=dict)
    address: str = "tls://scheduler:8786"
    up: bool = True
    put: object = None

    def connect(self, put):
        self.put = put
        return self

    def workers(self):
        return {address: {"name": address, "cortexbuild": o} for address, o in self.offers.items()}

    def weight(self, parcel):
        return len(repr(parcel.job.step.params)) + len(repr(parcel.job.inputs))

    def submit(self, parcel, worker, needs, room):
        self.sent.append((worker, parcel))

    def outcome(self, ticket):
        if not self.up:
            raise self.gone()
        return self.outcomes.get(ticket)

    def is_up(self):
        return self.up

    def gone(self):
        return RemoteError("the scheduler is gone")

    def forget(self, ticket):
        pass

    def versions(self):
        return {"python": platform.python_version(), "dask": dask_version()}

    def first_workers(self, patience):
        return self.workers()

    def close(self):
        pass

    def join(self, address, offer):
        self.offers[address] = offer
        self.put("joined", address)

    def lose(self, address):
        del self.offers[address]
        self.put("left", address)

    def finish(self, outcome=None):
        """What was sent last has ended."""
        _, parcel = self.sent[-1]
        trace = Trace(parcel.job.key, {}, tree_of(PLUGIN), "m:t/quantize", {})
        self.outcomes[parcel.ticket] = outcome or Report(Done(parcel.job.id, trace), "said\n")
        self.put("ended", parcel.ticket)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """What this machine has: it takes a while to look."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PLUGIN))
        return offer_here("", WORKER, tmp_path_factory.mktemp("none"), ("", ""))


@pytest.fixture
def offer(store, here):
    """Makes what a worker tells who works in this store."""
    with beacon(store.root) as shown:

        def make(name, room=WORKER, **others):
            return {**replace(here, name=name, room=room, beacon=shown).plain(), **others}

        yield make


@pytest.fixture
def cluster(store, tmp_path, offer):
    made = []

    @contextmanager
    def start(*names, needs=NOTHING, patience=0.2, offers=()):
        link = Scheduler({**{name: offer(name) for name in names}, **dict(offers)})
        told = []
        terms = Terms(lambda step, sizes: needs, lambda step: True, patience)
        executor = ClusterExecutor(store, tmp_path, Pool(1), link.connect, None, terms, told.append)
        made.append(executor)
        yield link, executor, told

    yield start
    for executor in made:
        executor.close()


def place(executor):
    executor._placing.place(executor._submit, executor._give_up)


def job_of(store, tmp_path, version="1.0", **params) -> Job:
    with scratch(store.root) as folder:
        (folder / "out").mkdir()
        (folder / "out" / "model.txt").write_text("some text")
        tree = store.add_folder(folder / "out")
    tool = ToolId("text", 1, {"text": version})
    source = {"model": Input(StepId("0" * 64))}
    step = Step(Kind.QUANTIZE, tool, params, source, "m:t/quantize", "text")
    said = step.ingredients({"model": tree})
    root, log = str(tmp_path), str(tmp_path / "step.log")
    return Job(step.id, key_of(said), step, said, {"model": tree}, str(store.root), root, log)


def test_a_step_whose_workers_end_is_tried_three_times_and_named(cluster, store, tmp_path):
    with cluster("a", "b", "c", "d") as (link, executor, told):
        executor.start(job_of(store, tmp_path))
        seen = []

        def lose_it(event):
            told.append(event)

        place(executor)
        for _ in range(3):
            worker, _parcel = link.sent[-1]
            seen.append(worker)
            link.lose(worker)
            executor._hear(*executor._inbox.get(timeout=1))
            place(executor)
        done = executor._results.next()
        assert len(set(seen)) == len(link.sent) == 3, "each time it is another"
        assert isinstance(done.outcome, Failure)
        assert done.outcome.message == f"its workers ended while they ran it: {', '.join(seen)}"
        assert sum("runs again elsewhere" in event.text for event in told) == 2


def test_workers_that_are_told_to_end_do_not_count_as_deaths(cluster, store, tmp_path):
    with cluster(*"abcdef") as (link, executor, _):
        executor.start(job_of(store, tmp_path))
        place(executor)
        for _ in range(5):
            worker = link.sent[-1][0]
            link.put("said", {"what": "leaving", "value": worker})
            link.lose(worker)
            for _ in range(2):
                executor._hear(*executor._inbox.get(timeout=1))
            place(executor)
        link.finish()
        assert isinstance(executor.wait().outcome, Trace) and len(link.sent) == 6


def test_when_the_last_worker_goes_one_may_come_and_then_it_fails(cluster, store, tmp_path):
    with cluster("a", patience=0.0) as (link, executor, _):
        executor.start(job_of(store, tmp_path))
        place(executor)
        link.lose("a")
        executor._hear(*executor._inbox.get(timeout=1))
        place(executor)
        failure = executor._results.next().outcome
        assert "for 0 seconds no worker was there that could run it" in failure.message
    with cluster("a", patience=60) as (link, executor, _):
        executor.start(job_of(store, tmp_path))
        place(executor)
        offer = link.offers["a"]
        link.lose("a")
        link.join("b", {**offer, "name": "b"})
        while len(link.sent) < 2:
            executor._hear(*executor._inbox.get(timeout=1))
            place(executor)
        assert link.sent[-1][0] == "b"
        link.finish()
        assert isinstance(executor.wait().outcome, Trace)
        assert (tmp_path / "step.log").read_text() == "said\n"


def test_who_waits_for_a_scheduler_that_is_gone_is_told(cluster, store, tmp_path):
    with cluster("a", patience=60) as (link, executor, _):
        executor.start(job_of(store, tmp_path))
        place(executor)
        link.up = False
        link.finish()
        with pytest.raises(RemoteError, match="the scheduler is gone"):
            executor.wait()


def test_steps_that_take_all_of_a_worker_s_memory_wait_for_it(cluster, store, tmp_path, offer):
    large = {"big": offer("big", Capacity(memory=8 * GIB, jobs=4))}
    with cluster("small", needs=Needs(5 * GIB), offers=large) as (link, executor, _):
        for keep in (1, 2):
            executor.start(job_of(store, tmp_path, keep=keep))
        place(executor)
        assert [worker for worker, _ in link.sent] == ["big"]
        link.finish()
        executor.wait()
        place(executor)
        assert [worker for worker, _ in link.sent] == ["big", "big"]


def test_free_grows_with_workers(cluster, store, offer):
    with cluster("a") as (link, executor, _):
        before = executor.free()
        link.join("b", offer("b", Capacity(memory=GIB, jobs=16)))
        executor._hear(*executor._inbox.get(timeout=1))
        assert executor.free() > before + 16


def test_what_a_worker_has_is_read_back_and_a_stranger_s_is_not(offer):
    assert offer_from(offer("a")).plain() == offer("a")
    assert offer_from(None) is None and offer_from({**offer("a"), "more": 1}) is None


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"cortexbuild": "9.9"}, "it has cortexbuild 9.9, and here is"),
        ({"tools": []}, "it has no tool `text` that can quantize"),
        ({"machine": "another"}, "an index of files cannot be shared over a network"),
        ({"beacon": ["none", "x"]}, "its store is not this machine's"),
    ],
)
def test_what_a_worker_lacks_is_said_of_each(cluster, store, tmp_path, offer, others, why):
    step = job_of(store, tmp_path).step
    odd = {"odd": offer("odd", **others)}
    with cluster(offers={**odd, "twin": {**odd["odd"], "name": "twin"}}) as (_, executor, _told):
        try:
            said = executor.misfit(step, Needs()).message
        except UsageError as error:
            said = str(error)
        assert why in said and "odd, twin: " in said
    with cluster("good", offers=odd) as (_, executor, _told):
        assert executor.misfit(step, Needs()) is None


def test_an_engine_that_is_not_installed_is_said(store, tmp_path, offer):
    plain = offer("a")
    tools = [
        {**t, "missing": "text is not installed"} for t in plain["tools"] if t["name"] == "text"
    ]
    told = offer_from({**plain, "tools": tools})
    assert lacks(told, job_of(store, tmp_path).step, Needs()) == "text is not installed"
    versions = offer_from(plain)
    said = lacks(versions, job_of(store, tmp_path, version="2.0").step, Needs())
    assert said == "text 1.0 is here, and cortex.lock has text 2.0"
    assert lacks(versions, job_of(store, tmp_path).step, Needs(5 * GIB)).startswith(
        "it has 4.00 GiB"
    )


def test_versions_that_differ_are_told_in_words(offer):
    here = {"python": platform.python_version(), "dask": dask_version()}
    same, other = offer_from(offer("a")), offer_from({**offer("b"), "python": "3.11.0"})
    assert list(differences(here, [same])) == []
    said = list(differences({**here, "dask": "1.0"}, [same, other]))
    assert said == [
        f"the scheduler has dask 1.0, and here is {here['dask']}",
        f"b has python 3.11.0, and here is {here['python']}",
    ]


def test_workers_that_lack_the_same_are_named_together():
    said = in_words({**{f"w{n}": "no mlx" for n in range(10)}, "x": "no torch"})
    assert said == "w0, w1, w2, w3, w4, w5, w6, w7 and 2 more: no mlx; x: no torch"


def test_one_store_is_known_by_a_file_and_not_by_its_path(store, tmp_path):
    with beacon(store.root) as (name, content):
        elsewhere = tmp_path / "seen-elsewhere"
        elsewhere.symlink_to(store.root)
        assert shows(elsewhere, name, content)
        assert not shows(store.root, name, "other")
        assert not shows(tmp_path, name, content)
        with beacon(store.root):  # does not take away what another worker holds
            assert shows(store.root, name, content)
        (store.root / "workers" / "left").write_text("by one that was killed")
        with beacon(store.root):
            assert not (store.root / "workers" / "left").exists()
    assert not shows(store.root, name, content)


def test_what_is_in_a_remote_in_another_size_is_not_there(store, tmp_path):
    folder = tmp_path / "team"
    (folder / "cas").mkdir(parents=True)
    address = Address(url=f"file://{folder}")
    tree = next(iter(job_of(store, tmp_path).inputs.values()))
    (file,) = tree.files
    reach = Reach(store, [address], address, partial(open_remote, root=tmp_path))
    assert reach.has(tree), "it is here"
    assert reach.missing(tree.files) == [file]
    (folder / "cas" / file.digest).write_bytes(b"half")
    assert reach.missing(tree.files) == [file]
    (folder / "cas" / file.digest).write_bytes(store.blob(file.digest).read_bytes())
    assert reach.missing(tree.files) == []


def test_certificates_of_remotes_go_along_by_other_names(tmp_path):
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "ca.pem").write_text("an authority")
    own = Address(url="https://cache.example/x", ca="certs/ca.pem")
    (sent, plain), texts = with_certificates([own, Address(url="s3://b/x")], tmp_path)
    assert texts == {sent.ca: "an authority"} and "/" not in sent.ca and plain.ca is None


def test_a_job_of_many_files_goes_as_a_content_of_the_store(store, tmp_path):
    with scratch(store.root) as folder:
        out = folder / "out"
        out.mkdir()
        for number in range(800):
            (out / f"part-{number:05}.txt").write_text(str(number))
        tree = store.add_folder(out)
    job = job_of(store, tmp_path)
    many = replace(job, inputs={"model": tree}, ingredients=job.step.ingredients({"model": tree}))
    light, details = lighten(many, store)
    assert len(repr(many)) > MOST > len(repr(light)) * 8
    assert whole_job(Parcel("t", "r", light, details=details), store) == many
    assert lighten(job, store) == (job, None)


def test_a_job_that_is_too_large_to_be_told_fails(cluster, store, tmp_path, monkeypatch):
    with cluster("a") as (link, executor, _):
        monkeypatch.setattr(link, "weight", lambda parcel: MOST + 1)
        executor.start(job_of(store, tmp_path))
        assert f"takes {MOST + 1} bytes" in executor.wait().outcome.message


def test_what_workers_say_is_told_with_their_names(cluster, store, tmp_path):
    with cluster("a") as (link, executor, told):
        executor.start(job_of(store, tmp_path))
        place(executor)
        parcel = link.sent[-1][1]
        message = {"run": parcel.run, "ticket": parcel.ticket, "what": "said", "value": "waits"}
        link.put("said", message)
        link.put("said", {**message, "run": "another's"})
        link.finish()
        executor.wait()
        assert told == [Said("a: waits")]
