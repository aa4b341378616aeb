"""A build that is killed keeps what it finished, and several at once do no harm."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress

import pytest
from waiting import children_of, is_gone, needs_proc, until


@needs_proc
def test_a_killed_sync_takes_its_workers_along_and_goes_on_where_it_stopped(space):
    space.manifest(t={"sleep": 60})
    run = space.start("sync")
    until((space.home / "cutting").exists)
    workers = children_of(run.pid)
    assert workers
    run.kill()
    run.communicate()
    until(lambda: all(is_gone(pid) for pid in workers))
    assert space.debris() != []
    space.manifest(t={})
    assert space.sync() == ["quantize", "validate"]
    assert space.debris() == []


@needs_proc
def test_a_killed_worker_is_a_failed_step_and_the_next_sync_goes_on(space):
    space.manifest(t={"sleep": 60})
    run = space.start("sync")
    until((space.home / "cutting").exists)
    for pid in children_of(run.pid):
        os.kill(pid, signal.SIGKILL)
    _, said = run.communicate(timeout=30)
    assert run.returncode == 1
    assert "ended by SIGKILL" in said
    space.manifest(t={})
    assert space.sync() == ["quantize", "validate"]
    assert space.debris() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@needs_proc
def test_an_interrupt_ends_the_workers_and_keeps_finished_steps(space, number):
    space.manifest(t={"sleep": 60})
    run = space.start("sync")
    until((space.home / "cutting").exists)
    workers = children_of(run.pid)
    run.send_signal(number)
    _, said = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "interrupted; finished steps are kept" in said
    assert all(is_gone(pid) for pid in workers)
    assert space.debris() == []
    space.manifest(t={})
    assert space.sync() == ["quantize", "validate"]


@pytest.mark.parametrize("moment", [0.1, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.9, 1.1, 1.4])
@needs_proc
def test_s3_killed_at_any_moment_the_next_sync_is_right_and_loses_nothing(space, moment):
    """The parent and its workers are killed at once, wherever they are."""
    space.manifest(a={"keep": 1}, b={"keep": 2}, c={"keep": 3})
    run = space.start("sync", "-j", "2")
    time.sleep(moment)
    victims = [run.pid, *children_of(run.pid)]
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run.communicate()
    finished = len(list((space.store / "ac").rglob("*.json"))) if space.store.exists() else 0
    ran = space.sync()
    assert len(ran) == 9 - finished
    assert [space.text(f"m--{name}") for name in "abc"] == ["H", "HE", "HEL"]
    assert space.debris() == []
    assert "as they should be" in space.run("verify").stderr


def test_eight_syncs_at_once_run_each_step_once(space):
    space.manifest(a={"keep": 1, "sleep": 0.5}, b={"keep": 2})
    runs = [space.start("sync", "--json") for _ in range(8)]
    reports = []
    for run in runs:
        out, err = run.communicate(timeout=120)
        assert run.returncode == 0, err
        reports.append(json.loads(out))
    built = [s["step"] for report in reports for s in report["steps"] if s["change"] == "built"]
    assert len(built) == len(set(built)) == 7
    assert space.sync() == []


def test_who_does_not_want_to_wait_is_told_who_is_busy(space):
    space.manifest(t={"sleep": 6})
    first = space.start("sync")
    until((space.home / "cutting").exists)
    said = space.run("sync", "--no-wait", code=4).stderr
    first.kill()
    first.communicate()
    assert "m:t/quantize is being made by pid" in said


def test_who_waits_says_for_whom(space):
    space.manifest(t={"sleep": 4})
    first = space.start("sync")
    until((space.home / "cutting").exists)
    said = space.run("sync").stderr
    first.communicate(timeout=60)
    assert "m:t/quantize waits for pid" in said
    assert "made meanwhile by another process" in said
