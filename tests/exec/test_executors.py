"""One contract, every executor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Pipe

import pytest
from plugin.cortexbuild_text import CutParams
from workspace import PLUGIN, tiny_safetensors

from cortexbuild.core.events import StepMoved
from cortexbuild.core.needs import PROCESS, Capacity, Needs
from cortexbuild.core.ports import Job
from cortexbuild.core.scheduling.agenda import Agenda
from cortexbuild.core.step import Failure, Input, Kind, Step, StepId, ToolId, Trace, key_of
from cortexbuild.exec.local import LocalExecutor
from cortexbuild.exec.pool import Child, Pool
from cortexbuild.store.local import LocalStore
from cortexbuild.store.scratch import scratch
from cortexbuild.testing import fetch_step, text_plan


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setenv("CORTEX_HOME", str(tmp_path))
    opened = LocalStore(tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture(params=["local", "cluster"])
def executor(request, store):
    """Each with room for two; a cluster is a scheduler and a worker, on this machine."""
    told = []
    pool = Pool(2)
    if request.param == "local":
        made = LocalExecutor(2, 2, told.append)
        pool = made._pool
    else:
        made = local_cluster(store, pool, told.append)
    made.told = told
    yield made
    made.close()
    assert pool.idle == pool.lent == []


def local_cluster(store, pool, tell):
    from cortexbuild.exec.cluster.connect import connect_here
    from cortexbuild.exec.cluster.executor import ClusterExecutor
    from cortexbuild.exec.cluster.site import Site
    from cortexbuild.exec.cluster.terms import Terms

    run = store.root / "runs" / "worker"
    run.mkdir()
    site = Site(store.root, run, pool)
    link = partial(connect_here, store.root, site, Capacity(jobs=2))
    terms = Terms(lambda step, sizes: Needs(PROCESS), lambda step: False, patience=0.5)
    return ClusterExecutor(store, store.root, pool, link, None, terms, tell)


def cuts_of(store, tmp_path, *labels, **settings):
    """Jobs that cut a small text each, which is in the store."""
    jobs = []
    for label in labels:
        with scratch(store.root) as folder:
            (folder / "out").mkdir()
            (folder / "out" / "model.txt").write_text(label * 9)
            tree = store.add_folder(folder / "out")
        params = CutParams(**settings).plain()
        source = {"model": Input(StepId(tree.digest))}
        tool = ToolId("text", 1, {"text": "1.0"})
        step = Step(Kind.QUANTIZE, tool, params, source, f"{label}/quantize", "text")
        said = step.ingredients({"model": tree})
        root, log = str(tmp_path), str(tmp_path / f"{label}.log")
        inputs = {"model": tree}
        jobs.append(Job(step.id, key_of(said), step, said, inputs, str(store.root), root, log))
    return jobs


def fetches_of(store, tmp_path, *labels):
    """Fetch jobs of a small folder each; they need nothing but the standard library."""
    jobs = []
    for label in labels:
        folder = tmp_path / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"text": label}))
        (folder / "model.safetensors").write_bytes(tiny_safetensors(label.encode()))
        step = fetch_step(f"path:{label}", folder)
        plan = text_plan(step)
        agenda = Agenda(plan, plan.steps, store.trace, store.has_tree)
        (ready,), _ = agenda.news()
        log = str(tmp_path / f"{label}.log")
        jobs.append(
            Job(
                ready.id,
                ready.key,
                step,
                ready.ingredients,
                {},
                str(store.root),
                str(tmp_path),
                log,
            )
        )
    return jobs


@pytest.mark.parametrize("make", [cuts_of, fetches_of])
def test_free_counts_what_may_start(executor, store, tmp_path, make):
    a, b = make(store, tmp_path, "a", "b")
    before = executor.free()
    assert before >= 2
    executor.start(a)
    executor.start(b)
    assert executor.free() == before - 2
    done = {executor.wait().id, executor.wait().id}
    assert done == {a.id, b.id}
    assert executor.free() == before


@pytest.mark.parametrize("make", [cuts_of, fetches_of])
def test_a_success_is_a_trace_that_the_store_has(executor, store, tmp_path, make):
    (job,) = make(store, tmp_path, "a")
    executor.start(job)
    done = executor.wait()
    assert isinstance(done.outcome, Trace) and not done.reused
    assert store.trace(job.key, job.ingredients) == done.outcome
    executor.start(job)
    assert executor.wait().reused


def test_a_failure_is_an_outcome_with_a_log_and_a_hint(executor, store, tmp_path):
    (job,) = fetches_of(store, tmp_path, "a")
    (tmp_path / "a" / "config.json").unlink()
    executor.start(job)
    outcome = executor.wait().outcome
    assert isinstance(outcome, Failure)
    assert "has no `config.json`" in outcome.message and outcome.hint.startswith("bring it")
    assert store.read_trace(job.key) is None


def test_any_exception_of_a_tool_is_an_outcome(executor, store, tmp_path):
    (job,) = cuts_of(store, tmp_path, "a", fail="raise")
    executor.start(job)
    outcome = executor.wait().outcome
    assert isinstance(outcome, Failure) and "ValueError: no scissors" in outcome.message
    assert outcome.log == job.log and "Traceback" in (tmp_path / "a.log").read_text()


def test_a_tool_that_ends_its_process_is_an_outcome_with_what_it_said(executor, store, tmp_path):
    """As scripts do that are called as libraries."""
    (job,) = cuts_of(store, tmp_path, "a", fail="exit")
    executor.start(job)
    outcome = executor.wait().outcome
    assert isinstance(outcome, Failure) and "SystemExit: no scissors" in outcome.message


def test_a_step_whose_log_cannot_be_written_runs(store, tmp_path):
    (job,) = cuts_of(store, tmp_path, "a")
    (tmp_path / "taken").write_text("")
    with closing(LocalExecutor(1, 1, lambda event: None)) as executor:
        executor.start(replace(job, log=str(tmp_path / "taken" / "a.log")))
        assert isinstance(executor.wait().outcome, Trace)


def test_a_child_that_is_ending_is_not_killed_before_it_says_how(tmp_path):
    ours, theirs = Pipe()
    life = os.open(os.devnull, os.O_RDONLY)
    code = "import os, sys, time\nos.close(int(sys.argv[1]))\ntime.sleep(0.3)\nsys.exit(3)"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(theirs.fileno())],
        pass_fds=[theirs.fileno()], start_new_session=True,
    )  # fmt: skip
    theirs.close()
    pool = Pool(1)
    pool.lent.append(Child(process, ours, life, "text"))
    with pytest.raises(EOFError):
        ours.recv()
    assert pool.ended(pool.lent[0], "a.log").message == "its process ended with 3"
    assert pool.lent == []


def test_an_engine_that_crashes_is_a_failed_step_and_the_next_runs(executor, store, tmp_path):
    (bad,) = cuts_of(store, tmp_path, "a", fail="kill")
    (good,) = cuts_of(store, tmp_path, "b")
    for job, word in ((bad, "SIGKILL"), (good, "")):
        executor.start(job)
        outcome = executor.wait().outcome
        assert word in outcome.message if word else isinstance(outcome, Trace)


def test_other_versions_than_the_lock_s_make_nothing(executor, store, tmp_path):
    (job,) = cuts_of(store, tmp_path, "a")
    tool = replace(job.step.tool, engine={"text": "2.0"})
    executor.start(replace(job, step=replace(job.step, tool=tool)))
    outcome = executor.wait().outcome
    assert "text 1.0 is here, and cortex.lock has text 2.0" in outcome.message


@pytest.mark.parametrize("make", [cuts_of, fetches_of])
def test_progress_is_told_while_one_waits(executor, store, tmp_path, make):
    (job,) = make(store, tmp_path, "a")
    executor.start(job)
    executor.wait()
    moved = [event for event in executor.told if isinstance(event, StepMoved)]
    size = job.step.tree.size if job.step.tree else 2
    assert moved[-1] == StepMoved(job.step.label, size if job.step.tree else 1, size)


def test_warm_children_are_used_again_and_of_another_engine_are_replaced(store, tmp_path):
    executor = LocalExecutor(1, 1, lambda event: None)
    try:
        for job in fetches_of(store, tmp_path, "a", "b"):
            executor.start(job)
            executor.wait()
            first = executor._pool.idle[0].process.pid
            assert len(executor._pool.idle) == 1
        (job,) = fetches_of(store, tmp_path, "c")
        executor.start(job)
        executor.wait()
        assert executor._pool.idle[0].process.pid == first
    finally:
        executor.close()


def alternate(executor, jobs, engines):
    """Run the jobs with these engines in turn, each one's names apart by spaces; the processes
    that ran them."""
    ran = []
    for job, engine in zip(jobs, engines, strict=True):
        # What a step of an engine needs is loaded by its child at first: here it is nothing.
        tool = replace(job.step.tool, engine=dict.fromkeys(engine.split(), "1"))
        executor.start(replace(job, step=replace(job.step, kind=Kind.DETECT, tool=tool)))
        ran.append(executor._pool.lent[0].process.pid)
        executor.wait()
    return ran


def test_children_of_engines_that_alternate_stay_warm_and_the_one_unused_longest_goes(
    store, tmp_path
):
    executor = LocalExecutor(1, 2, lambda event: None)
    try:
        jobs = fetches_of(store, tmp_path, *"abcdefg")
        ran = alternate(executor, jobs[:4], ["mlx", "torch", "mlx", "safetensors torch"])
        assert ran[:2] == ran[2:], "a child was started again"
        _, torch, mlx = alternate(executor, jobs[4:], ["gguf", "torch", "mlx"])
        assert torch == ran[1] and mlx not in ran, "mlx had been unused for longest"
        assert len(executor._pool.idle) == 2
    finally:
        executor.close()


CHILD = """
import os, sys
from multiprocessing.connection import Pipe
from cortexbuild.exec.child import main
ours, theirs = Pipe()
ours.close()
life, held = os.pipe()
sys.argv = ["child", str(theirs.fileno()), str(os.getppid()), str(life), sys.argv[1]]
main()
try:
    import torch
    print("there")
except ModuleNotFoundError:
    print("left out")
"""


@pytest.mark.parametrize(
    ("engine", "torch"),
    [("mlx", "left out"), ("llama-cpp-python", "left out"), ("torch", "there"), ("", "there")],
)
def test_steps_of_mlx_and_llama_cpp_do_without_pytorch(tmp_path, engine, torch):
    (tmp_path / "torch.py").touch()  # quicker to import
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, engine], env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == f"{torch}\n", done.stderr


def test_no_step_is_told_a_secret_and_what_it_quotes_is_not_kept(
    executor, store, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", "canary-1")
    monkeypatch.setenv("CORTEX_SIGNING_KEY", "ci:secret:canary-2")
    (job,) = cuts_of(store, tmp_path, "a", fail="tell")
    executor.start(job)
    outcome = executor.wait().outcome
    log = (tmp_path / "a.log").read_text()
    assert isinstance(outcome, Failure) and "https://host/?sig=\u2026" in outcome.message
    assert "PATH" in log and "https://host/?sig=\u2026" in log
    for said in (outcome.message, log):
        assert "canary" not in said and "me:quoted-9@" not in said and "sig=quoted-9" not in said
