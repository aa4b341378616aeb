"""What really happens to machines: processes that are stopped or killed, clocks that jump, disks
that are full or read-only."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from survival.faulty import Fault, Faulty
from waiting import children_of, needs_proc, until
from workspace import Workspace

from cortexbuild.store.system import replaced

DAY = 86_400


@contextmanager
def mounted(place: Path, *how: str):
    """A folder, mounted for a while. Says whether that was permitted: only root may do it."""
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *how, str(place)], capture_output=True) if HAS_MOUNT else None
    try:
        yield done is not None and done.returncode == 0
    finally:
        if done is not None and done.returncode == 0:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


HAS_MOUNT = shutil.which("mount") is not None and os.geteuid() == 0


@contextmanager
def read_only(home: Path):
    """Really, where that is permitted; else as the seam says it, which leaves SQLite its rights."""
    with mounted(home, "--bind", str(home)) as done:
        if done:
            subprocess.run(["mount", "-o", "remount,ro,bind", str(home)], check=True)
            yield
        else:
            with replaced(Faulty(home, 0, Fault("read-only", 30, stays=True))):
                yield


def test_a_read_only_home_can_be_looked_at_and_a_sync_says_what_to_do(space):
    space.inside = False  # a process that ends leaves SQLite no open file
    assert space.sync() != []
    space.inside = True
    with read_only(space.home):
        assert "m:t" in space.run("list").stdout
        assert space.run("path", "m:t").stdout.strip() == str(space.view())
        assert "5 fresh" in space.run("plan").stdout
        assert space.run("why", "m:t").stdout
        assert space.run("status").returncode == 0
        assert space.text() == "HELL"
        said = space.run("sync", code=1).stderr
    assert "Read-only file system" in said
    assert "hint: make it writable for you, or set CORTEX_HOME to a folder that is" in said
    assert space.sync() == []


def test_a_full_disk_is_told_and_with_room_the_sync_goes_on(space, tmp_path):
    """It fills while a step runs. Really, where that is permitted; else as the seam says it."""
    home = tmp_path / "small"
    small = Workspace(space.root, home, inside=True)
    with mounted(home, "-t", "tmpfs", "-o", "size=2m", "tmpfs") as done:
        if done:
            space.manifest(t={"sleep": 60})
            run = small.start("sync")
            until((home / "cutting").exists)
            fill(home / "filler")
            (home / "go").touch()
            said = "".join(run.communicate(timeout=60))
            assert run.returncode == 1, said
            assert "(path:weights)" in small.run("cache", "gc", "--older-than", "0d").stdout
            fill(home / "filler")
            (home / "filler").unlink()
        else:
            with replaced(Faulty(home, "open store.json", Fault("full", 28, stays=True))):
                said = small.run("sync", code=1).stderr
        assert f"{home}/" in said
        assert "No space left on device" in said
        assert "hint: make room on that disk" in said
        space.manifest(t={})
        assert small.sync()[-2:] == ["quantize", "validate"]
        assert small.text() == "HELL"
        assert small.sync() == []
        assert small.debris() == []


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_worker_that_the_kernel_ends_takes_nothing_else_along(space):
    """It has no memory left. Really, where a control group is permitted; else it kills itself."""
    with little_memory() as group:
        space.manifest(a={"sleep": 60, "fail": "memory" if group else "kill"}, b={"keep": 2})
        run = space.start("sync", "-k", "-j", "1")
        until((space.home / "cutting").exists)
        if group:
            group.joinpath("cgroup.procs").write_text((space.home / "cutting").read_text())
        (space.home / "go").touch()
        said = "".join(run.communicate(timeout=60))
    assert run.returncode == 1, said
    assert "ended by SIGKILL (out of memory?)" in said
    assert space.text("m--b") == "HE"
    assert space.debris() == []


@contextmanager
def little_memory():
    """A control group of Linux in which there are 64 MiB; None where that is not permitted."""
    for root, limit in (("memory/", "memory.limit_in_bytes"), ("", "memory.max")):
        group = Path("/sys/fs/cgroup") / f"{root}cortexbuild-{os.getpid()}"
        with suppress(OSError):
            group.mkdir()
            try:
                with suppress(OSError):  # a group of version 2 may not have the memory to give
                    (group / limit).write_text(str(64 << 20))
                    yield group
                    return
            finally:
                group.rmdir()
    yield None


@needs_proc
def test_a_sync_that_is_stopped_harms_nobody_and_goes_on(space):
    """Its locks are held: who does not wait is told by whom, and nothing is collected."""
    space.manifest(t={"sleep": 60})
    run = space.start("sync")
    until((space.home / "cutting").exists)
    stopped = [run.pid, *children_of(run.pid)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        said = space.run("sync", "--no-wait", code=4).stderr
        assert "m:t/quantize is being made by pid" in said
        said = space.run("cache", "gc", "--keep", "0B", "--lock-timeout", "0", code=4).stderr
        assert f"the store is in use by pid {run.pid}" in said
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    (space.home / "go").write_text("")
    assert run.communicate(timeout=60)[1]
    assert run.returncode == 0
    assert space.text() == "HELL"
    assert space.sync() == []


def test_a_clock_that_jumps_changes_no_result_and_loses_none(space, monkeypatch):
    now, now_ns = time.time, time.time_ns
    ahead = 0  # seconds

    monkeypatch.setattr(time, "time", lambda: now() + ahead)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + ahead * 10**9)
    assert len(space.sync()) == 5
    for jump in (400 * DAY, -400 * DAY, 0):
        ahead = jump
        assert space.sync() == []
        space.run("cache", "gc", "--older-than", "1d")
        assert space.text() == "HELL"
        assert "as they should be" in space.run("verify").stderr
    ahead = -400 * DAY
    space.manifest(t={"keep": 2})
    assert space.sync()[-2:] == ["quantize", "validate"]  # what they need may have been collected
    ahead = 400 * DAY
    assert space.sync() == []
    assert space.text() == "HE"
