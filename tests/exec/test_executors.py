"""One contract, every executor; and what a step may see of the machine."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from workspace import PLUGIN, tiny_safetensors

from cortexbuild.core.agenda import Agenda
from cortexbuild.core.ports import Job
from cortexbuild.core.step import Failure, Kind, Trace
from cortexbuild.exec.local import LocalExecutor, _environment
from cortexbuild.store.local import LocalStore
from cortexbuild.testing import fetch_step, text_plan


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN))
    opened = LocalStore(tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture(params=["local"])
def executor(request):
    told = []
    made = LocalExecutor(2, 2, told.append)
    made.told = told
    yield made
    made.close()
    assert made._children == []


def jobs_of(store, tmp_path, *labels):
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


def test_free_counts_what_may_start(executor, store, tmp_path):
    a, b = jobs_of(store, tmp_path, "a", "b")
    assert executor.free() == 2
    executor.start(a)
    executor.start(b)
    assert executor.free() == 0
    done = {executor.wait().id, executor.wait().id}
    assert done == {a.id, b.id}
    assert executor.free() == 2


def test_a_success_is_a_trace_that_the_store_has(executor, store, tmp_path):
    (job,) = jobs_of(store, tmp_path, "a")
    executor.start(job)
    done = executor.wait()
    assert isinstance(done.outcome, Trace) and not done.reused
    assert store.trace(job.key, job.ingredients) == done.outcome
    executor.start(job)
    assert executor.wait().reused


def test_a_failure_is_an_outcome_with_a_log_and_a_hint(executor, store, tmp_path):
    (job,) = jobs_of(store, tmp_path, "a")
    (tmp_path / "a" / "config.json").unlink()
    executor.start(job)
    outcome = executor.wait().outcome
    assert isinstance(outcome, Failure)
    assert "has no `config.json`" in outcome.message and outcome.hint.startswith("bring it")
    assert store.read_trace(job.key) is None


def test_any_exception_of_a_tool_is_an_outcome(executor, store, tmp_path):
    (job,) = jobs_of(store, tmp_path, "a")
    broken = replace(job, step=replace(job.step, tree=None))
    executor.start(broken)
    outcome = executor.wait().outcome
    assert isinstance(outcome, Failure) and "AssertionError" in outcome.message
    assert "Traceback" in (tmp_path / "a.log").read_text()


def test_progress_is_told_while_one_waits(executor, store, tmp_path):
    (job,) = jobs_of(store, tmp_path, "a")
    executor.start(job)
    executor.wait()
    moved = [event for event in executor.told if type(event).__name__ == "StepMoved"]
    assert moved and moved[-1].done == moved[-1].total == job.step.tree.size


def test_warm_children_are_used_again_and_of_another_engine_are_replaced(store, tmp_path):
    executor = LocalExecutor(1, 1, lambda event: None)
    try:
        for job in jobs_of(store, tmp_path, "a", "b"):
            executor.start(job)
            executor.wait()
            first = executor._children[0].process.pid
            assert len(executor._children) == 1
        (job,) = jobs_of(store, tmp_path, "c")
        executor.start(job)
        executor.wait()
        assert executor._children[0].process.pid == first
    finally:
        executor.close()


def alternate(executor, jobs, engines):
    """Run the jobs with these engines in turn; the processes that ran them."""
    ran = []
    for job, engine in zip(jobs, engines, strict=True):
        # What a step of an engine needs is loaded by its child at first: here it is nothing.
        tool = replace(job.step.tool, engine={engine: "1"})
        executor.start(replace(job, step=replace(job.step, kind=Kind.DETECT, tool=tool)))
        ran.append(next(c.process.pid for c in executor._children if c.job is not None))
        executor.wait()
    return ran


def test_children_of_engines_that_alternate_stay_warm_and_the_one_unused_longest_goes(
    store, tmp_path
):
    executor = LocalExecutor(1, 2, lambda event: None)
    try:
        jobs = jobs_of(store, tmp_path, *"abcdefg")
        ran = alternate(executor, jobs[:4], ["mlx", "torch", "mlx", "torch"])
        assert ran[:2] == ran[2:], "a child was started again"
        _, torch, mlx = alternate(executor, jobs[4:], ["gguf", "torch", "mlx"])
        assert torch == ran[1] and mlx not in ran, "mlx had been unused for longest"
        assert len(executor._children) == 2
    finally:
        executor.close()


def test_only_fetch_may_use_the_network_and_no_step_sees_a_secret(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("SOME_SETTING", "canary")
    assert _environment(Kind.FETCH)["HF_TOKEN"] == "canary"
    assert "HF_HUB_OFFLINE" not in _environment(Kind.FETCH) or "HF_HUB_OFFLINE" in os.environ
    inside = _environment("mlx")
    assert "canary" not in inside.values()
    assert inside["HF_HUB_OFFLINE"] == "1"
