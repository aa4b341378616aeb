"""Several steps in one go (`exec/together.py`): each comes out as if it had been alone."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import replace

import pytest
from plugin import cortexbuild_press
from plugin.cortexbuild_press import PressParams
from waiting import until
from workspace import PLUGIN

from cortexbuild.core.events import Said, StepMoved
from cortexbuild.core.ports import Job
from cortexbuild.core.step import Failure, Input, Kind, Step, StepId, ToolId, Trace, key_of
from cortexbuild.exec.local import LocalExecutor
from cortexbuild.store.local import LocalStore
from cortexbuild.store.locks import is_held
from cortexbuild.store.scratch import scratch, sweep
from cortexbuild.store.steplock import step_lock
from cortexbuild.testing import check_tool


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setenv("CORTEX_HOME", str(tmp_path))
    with closing(LocalStore(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def executor(store):
    told = []
    with closing(LocalExecutor(2, 2, told.append)) as made:
        made.told = told
        yield made
    assert made._pool.idle == made._pool.lent == []


def jobs_of(store, tmp_path, *settings, names="abcdef"):
    """Jobs that press one text in several ways; each is called by a letter."""
    with scratch(store.root) as folder:
        (folder / "out").mkdir()
        (folder / "out" / "model.txt").write_text("a text to press")
        tree = store.add_folder(folder / "out")
    jobs = []
    for name, one in zip(names, settings, strict=False):
        source = {"model": Input(StepId(tree.digest))}
        params = PressParams(**one).plain()
        step = Step(Kind.QUANTIZE, ToolId("press", 1), params, source, f"{name}/quantize", "text")
        said, log = step.ingredients({"model": tree}), str(tmp_path / f"{name}.log")
        inputs, root = {"model": tree}, str(store.root)
        jobs.append(Job(step.id, key_of(said), step, said, inputs, root, str(tmp_path), log))
    return jobs


def run(executor, *jobs):
    """What came of each, in the order of the jobs."""
    executor.start(*jobs)
    done = {one.id: one for one in (executor.wait() for _ in jobs)}
    return [done[job.id] for job in jobs]


def pressed(tmp_path):
    """How many each call of the tool was for."""
    path = tmp_path / "pressed"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def text(store, trace):
    return store.blob(trace.tree.find("model.txt").digest).read_text()


KEEPS = [{"keep": 1}, {"keep": 2}, {"keep": 3}]


def test_one_call_makes_what_each_makes_alone(executor, store, tmp_path):
    jobs = jobs_of(store, tmp_path, *KEEPS)
    together = run(executor, *jobs)
    assert pressed(tmp_path) == [3]
    assert [text(store, done.outcome) for done in together] == ["a", "a ", "a t"]
    with closing(LocalStore(tmp_path / "other")) as other:
        for job, done in zip(jobs_of(other, tmp_path, *KEEPS), together, strict=True):
            (alone,) = run(executor, job)
            kept = store.trace(job.key, job.ingredients)
            assert done.outcome == kept and not done.reused
            assert alone.outcome == replace(kept, made=alone.outcome.made)
            assert alone.outcome.made.keys() == kept.made.keys()
    assert pressed(tmp_path) == [3, 1, 1, 1]


def test_each_has_its_share_of_the_seconds(executor, store, tmp_path):
    run(executor, *jobs_of(store, tmp_path, {"keep": 9}))  # there is a child from now on
    slow = [{**one, "sleep": 0.2} for one in KEEPS]
    started = time.monotonic()
    done = run(executor, *jobs_of(store, tmp_path, *slow))
    (share,) = {one.outcome.seconds for one in done}
    assert 3 * 0.2 <= 3 * share + 0.01 <= time.monotonic() - started + 0.01


def test_several_count_as_one_until_the_last_is_done(executor, store, tmp_path):
    executor.start(*jobs_of(store, tmp_path, *KEEPS))
    for _ in KEEPS:
        assert executor.free() == 1
        executor.wait()
    assert executor.free() == 2
    assert len(executor._pool.idle) == 1


@pytest.mark.parametrize("how", ["raise", "exit"])
def test_an_error_is_nobodys_until_each_ran_alone(executor, store, tmp_path, how):
    jobs = jobs_of(store, tmp_path, {"keep": 1}, {"keep": 2, "fail": "both", "how": how}, KEEPS[2])
    first, failed, last = run(executor, *jobs)
    assert pressed(tmp_path) == [3, 1, 1, 1]
    assert [text(store, one.outcome) for one in (first, last)] == ["a", "a t"]
    assert isinstance(failed.outcome, Failure) and "no press" in failed.outcome.message
    assert failed.outcome.log == jobs[1].log
    for number, job in enumerate(jobs, 1):
        lines = (tmp_path / job.log).read_text().splitlines()
        assert lines[0] == "pressed 3 at once"
        assert "all at once it did not work, so each step runs alone: " in lines[1]
        assert "no press" in lines[1]
        assert lines[2] == f"pressed to {number} alone"
        assert sum(line.startswith("pressed to") for line in lines) == 1


def test_what_was_finished_together_is_not_written_again_alone(executor, store, tmp_path):
    jobs = jobs_of(store, tmp_path, {"keep": 1, "fail": "at once"}, {"keep": 2})
    sums = store.root / "partial"
    done = run(executor, *jobs)
    assert all(isinstance(one.outcome, Trace) for one in done)
    assert all(one.outcome.tree.find("sum.txt") for one in done)
    assert not any(sums.iterdir()), "what was unfinished is forgotten"


def test_one_without_an_output_fails_and_the_others_are_kept(executor, store, tmp_path):
    jobs = jobs_of(store, tmp_path, {"keep": 1}, {"keep": 2, "how": "nothing"}, {"keep": 3})
    first, failed, last = run(executor, *jobs)
    assert pressed(tmp_path) == [3]
    assert "without an error and without an output" in failed.outcome.message
    assert failed.outcome.log == jobs[1].log
    assert [text(store, one.outcome) for one in (first, last)] == ["a", "a t"]


def test_what_another_process_made_meanwhile_is_left_out(executor, store, tmp_path):
    jobs = jobs_of(store, tmp_path, *KEEPS)
    run(executor, jobs[1])
    done = run(executor, *jobs)
    assert [one.reused for one in done] == [False, True, False]
    assert pressed(tmp_path) == [1, 2]
    more = jobs_of(store, tmp_path, *KEEPS, {"keep": 9})
    assert [one.reused for one in run(executor, *more)] == [True, True, True, False]
    assert (tmp_path / more[3].log).read_text() == "pressed to 9 alone\n", "as any other"
    assert [one.reused for one in run(executor, *more)] == [True] * 4


def test_two_of_one_key_do_not_wait_for_each_other(executor, store, tmp_path):
    jobs = [replace(job, patience=9.0) for job in jobs_of(store, tmp_path, *KEEPS[:2])]
    twin = replace(jobs[0], id=StepId("f" * 64), log=str(tmp_path / "twin.log"))
    done = run(executor, jobs[0], twin, jobs[1])
    assert [one.reused for one in done] == [False, True, False]
    assert pressed(tmp_path) == [2]


def lock_file(store, job):
    return store.root / "locks" / f"{job.key}.lock"


def held(path):
    return path.exists() and is_held(path)


def test_locks_are_taken_in_the_order_of_their_keys(executor, store, tmp_path):
    """Else two processes that each have what the other waits for would wait for ever."""
    *rest, last = sorted(jobs_of(store, tmp_path, *KEEPS), key=lambda job: job.key)
    with step_lock(store.root, last.key, "other", lambda _: None):
        executor.start(last, *reversed(rest))
        until(lambda: all(held(lock_file(store, job)) for job in rest), seconds=20)
        assert pressed(tmp_path) == []
    assert all(isinstance(executor.wait().outcome, Trace) for _ in KEEPS)
    assert pressed(tmp_path) == [3]


def test_one_that_another_process_has_too_long_fails_and_the_others_are_made(
    executor, store, tmp_path
):
    jobs = [replace(job, patience=0.0) for job in jobs_of(store, tmp_path, *KEEPS)]
    with step_lock(store.root, jobs[0].key, "other", lambda _: None):
        failed, *made = run(executor, *jobs)
    assert "is being made by" in failed.outcome.message and failed.outcome.code == 4
    assert all(isinstance(one.outcome, Trace) for one in made)
    assert pressed(tmp_path) == [2]


def test_a_child_that_dies_fails_all_of_them_and_leaves_what_one_leaves(executor, store, tmp_path):
    jobs = jobs_of(store, tmp_path, {"keep": 1}, {"keep": 2, "fail": "at once", "how": "kill"})
    for one, job in zip(run(executor, *jobs), jobs, strict=True):
        assert "ended by SIGKILL" in one.outcome.message
        assert one.outcome.log == job.log
        assert (tmp_path / job.log).read_text() == "pressed 2 at once\n"
        assert store.read_trace(job.key) is None
    assert sweep(store.root) == 2 and not any((store.root / "tmp").iterdir())
    # The first was finished before, and is taken as it is.
    assert [text(store, one.outcome) for one in run(executor, jobs[0])] == ["a"]
    assert executor.free() == 2


def test_a_child_that_dies_later_fails_those_that_were_not_done(executor, store, tmp_path):
    killed = {"keep": 2, "fail": "both", "how": "kill"}
    jobs = jobs_of(store, tmp_path, {"keep": 1, "fail": "at once"}, killed, {"keep": 3})
    made, *failed = run(executor, *jobs)
    assert text(store, made.outcome) == "a"
    assert ["SIGKILL" in one.outcome.message for one in failed] == [True, True]
    said = [(tmp_path / job.log).read_text().splitlines() for job in jobs]
    assert [lines[0] for lines in said] == ["pressed 3 at once"] * 3
    assert said[0][2:] == ["pressed to 1 alone"] and len(said[2]) == 2


def test_each_log_has_what_was_said_together_after_what_it_had(executor, store, tmp_path):
    jobs = jobs_of(store, tmp_path, *KEEPS)
    for job in jobs:
        (tmp_path / job.log).write_text(f"before {job.step.label}\n")
    run(executor, *jobs)
    for job in jobs:
        said = (tmp_path / job.log).read_text()
        assert said == f"before {job.step.label}\npressed 3 at once\n"


def test_steps_run_together_whose_logs_cannot_be_written(executor, store, tmp_path):
    (tmp_path / "taken").write_text("")
    first, second, third = jobs_of(store, tmp_path, *KEEPS)
    nowhere = str(tmp_path / "taken" / "a.log")
    done = run(executor, first, replace(second, log=nowhere), third)
    done += run(executor, replace(first, log=nowhere), second)
    assert all(isinstance(one.outcome, Trace) for one in done)
    assert (tmp_path / third.log).read_text() == "pressed 3 at once\n"


def test_progress_is_told_of_each_and_of_one_that_runs_alone_for_itself(executor, store, tmp_path):
    jobs = jobs_of(store, tmp_path, {"keep": 1}, {"keep": 2, "fail": "at once"})
    run(executor, *jobs)
    moved = [event for event in executor.told if isinstance(event, StepMoved)]
    both = [StepMoved(job.step.label, 1, 2) for job in jobs]
    assert moved == [*both, *(StepMoved(job.step.label, 2, 2) for job in jobs)]
    assert not any(isinstance(event, Said) for event in executor.told)


def test_a_tool_that_makes_something_else_together_breaks_its_promise(tmp_path, monkeypatch):
    monkeypatch.setenv("CORTEX_HOME", str(tmp_path))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "model.txt").write_text("a text")
    (tool,) = cortexbuild_press.TOOLS
    check_tool(tool, {"model": tmp_path / "in"}, {"keep": 2})

    def lazy(pieces):
        cortexbuild_press.press(*pieces[0])

    with pytest.raises(AssertionError, match="`press` makes other bytes together"):
        check_tool(replace(tool, together=lazy), {"model": tmp_path / "in"}, {"keep": 2})
