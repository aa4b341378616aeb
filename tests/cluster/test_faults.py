"""Processes that end in the middle: what is lost is made again, and what is not is kept."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from cluster.farm import Farm, project
from waiting import is_gone, until
from workspace import Workspace


@pytest.fixture
def shared(tmp_path) -> str:
    (tmp_path / "shared").mkdir()
    return f"file://{tmp_path / 'shared'}"


def cutting(farm: Farm) -> dict[str, int]:
    """The workers that are in the middle of a step, and the processes that do it."""
    files = {name: farm.home(name) / "cutting" for name in farm.processes}
    return {name: int(file.read_text()) for name, file in files.items() if _said(file)}


def _said(file: Path) -> bool:
    return file.exists() and file.read_text() != ""


def half_written(home: Path) -> list[str]:
    held = home / "build" / "v1" / "tmp"
    return [path.name for path in held.glob("*/out/*")]


def sync_in_the_middle(
    farm: Farm, tmp_path: Path, shared: str
) -> tuple[Workspace, subprocess.Popen[str], int]:
    """A sync, and the process that cuts for it on a worker called ann."""
    farm.workers("ann")
    space = project(tmp_path, farm, shared, t={"sleep": 60.0})
    syncing = space.start("sync", "--cache", "remote:rw")
    until(lambda: cutting(farm))
    return space, syncing, cutting(farm)["ann"]


def test_a_worker_that_is_killed_loses_its_step_to_another(small, tmp_path, shared):
    small.workers("ann", "bob")
    space = project(tmp_path, small, shared, t={"sleep": 60.0})
    syncing = space.start("sync", "--cache", "remote:rw", "--progress", "json", "-v")
    until(lambda: cutting(small))
    ((name, step),) = cutting(small).items()
    small.kill(name)
    until(lambda: is_gone(step))
    small.go(*small.processes.keys() - {"scheduler"})
    out, err = syncing.communicate(timeout=60)
    assert syncing.returncode == 0, err
    assert f"{name} is gone; m:t/quantize runs again elsewhere" in err
    other = {"ann": "bob", "bob": "ann"}[name]
    events = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    began = [e["detail"] for e in events if e.get("label") == "m:t/quantize" and e.get("detail")]
    assert began == [f"on {name}", f"on {other}"]
    assert space.view().exists()


def test_when_the_scheduler_is_gone_what_is_finished_is_kept(small, tmp_path, shared):
    space, syncing, step = sync_in_the_middle(small, tmp_path, shared)
    small.kill("scheduler")
    _, err = syncing.communicate(timeout=60)
    assert syncing.returncode == 5 and "is gone; finished steps are kept" in err, err
    assert small.processes["ann"].wait(timeout=30) == 5, "it would not know of another scheduler"
    until(lambda: is_gone(step))
    small.processes.clear()
    small.go("ann")
    small.scheduler().workers("ann")
    report = space.report("--cache", "remote:rw")
    made = [step["step"] for step in report["steps"] if step["change"] == "built"]
    assert made == ["m:t/quantize", "m:t/validate"]


def test_an_interrupt_ends_what_runs_on_the_workers(small, tmp_path, shared):
    _, syncing, step = sync_in_the_middle(small, tmp_path, shared)
    syncing.send_signal(signal.SIGINT)
    _, err = syncing.communicate(timeout=30)
    assert syncing.returncode == 130 and "finished steps are kept" in err
    until(lambda: is_gone(step), 10)
    assert small.processes["ann"].poll() is None, "the worker is there for others"
    assert not half_written(small.home("ann"))


def test_a_client_that_is_killed_leaves_nothing_running(small, tmp_path, shared):
    _, syncing, step = sync_in_the_middle(small, tmp_path, shared)
    syncing.kill()
    syncing.communicate()
    until(lambda: is_gone(step), 30)


def test_workers_may_come_late_and_leave(small, tmp_path, shared):
    small.workers("ann")
    space = project(tmp_path, small, shared, t={"sleep": 60.0}, u={"keep": 5, "sleep": 60.0})
    syncing = space.start("sync", "--cache", "remote:rw")
    until(lambda: cutting(small))
    small.workers("bob")
    until(lambda: len(cutting(small)) == 2)
    small.go("bob")
    assert small.kill("ann", signal.SIGTERM) == 0
    _, err = syncing.communicate(timeout=60)
    assert syncing.returncode == 0, err
    assert "ann is gone; m:" in err


def test_a_failure_is_told_with_its_worker_and_its_log(small, tmp_path, shared):
    small.workers("ann")
    space = project(tmp_path, small, shared, t={"fail": "raise"})
    said = space.run("sync", "--cache", "remote:rw", code=1).stderr
    assert "on ann: ValueError: no scissors" in said
    log = next(space.home.glob("build/v1/runs/*/m--t-quantize.log"))
    assert "Traceback" in log.read_text() and str(log) in said


def test_a_store_that_is_the_client_s_is_worked_in(small, tmp_path):
    space = project(tmp_path, small)
    small.worker("ann", "--jobs", "2", "--memory", "4GiB", home=space.home)
    small.ready("ann")
    assert space.sync() == ["fetch", "detect", "convert", "quantize", "validate"]
    assert space.view().exists()


def test_what_is_not_encrypted_or_not_certified_is_refused(tmp_path):
    farm = Farm(tmp_path / "farm")
    farm.folder.mkdir()
    space = Workspace(tmp_path, tmp_path / "home", inside=True)
    tls = farm.address.replace("tcp", "tls")
    for folder in ("team", "others"):
        space.run("cluster", "certificates", str(tmp_path / folder))
        space.run("cluster", "certificates", str(tmp_path / folder), "--name", "second")

    def files(folder: str, name: str = "cluster") -> list[str]:
        there = tmp_path / folder
        names = {"ca": "ca.pem", "cert": f"{name}.pem", "key": f"{name}.key"}
        return [
            word for what, file in names.items() for word in (f"--tls-{what}", str(there / file))
        ]

    said = space.run("cluster", "workers", "--scheduler", "tcp://192.0.2.1:8786", code=2).stderr
    assert "is spoken to in clear" in said and "--insecure" in said
    said = space.run("cluster", "workers", "--scheduler", tls, code=2).stderr
    assert "needs certificates; no ca is named" in said
    key = tmp_path / "team" / "cluster.key"
    assert key.stat().st_mode & 0o777 == 0o600
    try:
        farm.address = tls
        farm.scheduler(*files("team"))
        farm.worker("ann", "--jobs", "1", *files("team", "second"))
        farm.ready("ann")
        listed = space.run("cluster", "workers", "--scheduler", tls, *files("team")).stdout
        assert listed.startswith("ann ") and "1 step at once" in listed
        said = space.run("cluster", "workers", "--scheduler", tls, *files("others"), code=5).stderr
        assert "no scheduler answers" in said and "certificates of one authority" in said
        plain = space.run("cluster", "workers", "--scheduler", tls.replace("tls", "tcp"), code=5)
        assert "no scheduler answers" in plain.stderr
    finally:
        farm.end()
    key.chmod(0o644)
    said = space.run("cluster", "workers", "--scheduler", tls, *files("team"), code=2).stderr
    assert "others can read this key" in said
