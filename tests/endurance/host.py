"""Runs the command line in forks of one process that has all of it imported: a command takes some
20 ms in place of 500, and is a process of its own, with a life and a death.

`python -m endurance.host` takes requests from stdin, a line of JSON each, and answers on stdout.
A request is a list of commands that run at the same time. A command may be killed with everything
that it started, at the n-th of its operations on files; and its clock may be another than ours.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
COUNTED = {
    "open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.chmod",
    "os.truncate", "fcntl.flock", "sqlite3.connect", "shutil.rmtree",
}  # fmt: skip
"""What Python announces before it does it, of what a process does to files."""
STEPS_AT_ONCE, BROKEN = 2, 99


@dataclass(frozen=True)
class Command:
    """`kill_at` counts operations on files; 0 is never. `clock` is added to the time, in seconds."""

    args: Sequence[str]
    folder: str
    home: str
    env: Mapping[str, str] = field(default_factory=dict)
    kill_at: int = 0
    clock: float = 0.0


@dataclass(frozen=True)
class Ended:
    """`code` is negative for a signal; `operations` are those that were counted."""

    code: int
    out: str
    err: str
    operations: int

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Host:
    """The other side of the pipe."""

    def __init__(self) -> None:
        path = os.pathsep.join(
            [str(TESTS / "plugin"), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "endurance.host"], text=True,
            env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *commands: Command) -> list[Ended]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([asdict(one) for one in commands]) + "\n")
        self._process.stdin.flush()
        return [Ended(**one) for one in json.loads(self._process.stdout.readline())]

    def close(self) -> None:
        self._process.communicate()


def serve() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    _warm_up()
    for line in sys.stdin:
        started = [_start(Command(**one)) for one in json.loads(line)]
        print(json.dumps([asdict(finish()) for finish in started]), flush=True)


def _start(command: Command) -> Callable[[], Ended]:
    """Fork it; what is given waits for its end, and for that of all that it started."""
    out, err = (os.memfd_create(name) for name in ("out", "err"))
    counter = mmap.mmap(-1, 8)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.dup2(out, 1)
        os.dup2(err, 2)
        os._exit(_guarded(command, counter))

    def finish() -> Ended:
        _, status = os.waitpid(pid, 0)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # orphans of its group are ours
            while True:
                os.waitpid(-pid, 0)
        texts = []
        for handle in (out, err):
            with os.fdopen(handle, "rb") as file:
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
        count = int.from_bytes(counter[:8], "little")
        return Ended(os.waitstatus_to_exitcode(status), *texts, count)

    return finish


def _guarded(command: Command, counter: mmap.mmap) -> int:
    try:
        return _in_the_child(command, counter)
    except BaseException:  # noqa: BLE001 - whatever it is, it must not go on in the parent's code
        traceback.print_exc()
        return BROKEN
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _in_the_child(command: Command, counter: mmap.mmap) -> int:
    from cortexbuild.cli import wire
    from cortexbuild.cli.main import main

    os.chdir(command.folder)
    os.environ.update(command.env, CORTEX_HOME=command.home)
    _set_clock(command.clock)
    _count(counter, command.kill_at)
    children = [_start_child() for _ in range(STEPS_AT_ONCE)]  # before anything opens the index
    wire.open_executor = lambda room, tell: Forks(children)  # type: ignore[assignment]
    try:
        return main(list(command.args))
    except SystemExit as end:  # of argparse
        return int(end.code or 0)


def _set_clock(offset: float) -> None:
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + offset
    time.time_ns = lambda: now_ns() + int(offset * 1e9)


def _count(counter: mmap.mmap, kill_at: int) -> None:
    def hear(event: str, _args: object) -> None:
        if event in COUNTED:
            count = int.from_bytes(counter[:8], "little") + 1
            counter[:8] = count.to_bytes(8, "little")
            if count == kill_at:
                os.killpg(0, signal.SIGKILL)

    sys.addaudithook(hear)


class Forks:
    """An `Executor` (`core/ports.py`) whose children are forks, which spares their start."""

    def __init__(self, children: list[Connection]) -> None:
        self._idle = children
        self._running: dict[Connection, Any] = {}

    def free(self) -> int:
        return len(self._idle)

    def start(self, *jobs: Any) -> None:
        (job,) = jobs  # the tools here do one at a time
        child = self._idle.pop()
        self._running[child] = job
        child.send(job)

    def wait(self) -> Any:
        from cortexbuild.core.ports import Done
        from cortexbuild.core.step import Failure

        (pipe, *_) = wait(list(self._running))
        assert isinstance(pipe, Connection)
        done, job = pipe.recv(), self._running.pop(pipe)
        self._idle.append(pipe)
        return done or Done(job.id, Failure("its process was killed", "", job.log))

    def close(self) -> None:
        for child in (*self._idle, *self._running):
            child.close()


def _start_child() -> Connection:
    """It forks once more for each job, so that one that is killed ends nothing else."""
    ours, theirs = Pipe()
    parent = os.getpid()
    if os.fork() == 0:
        ours.close()
        _die_with(parent)
        with suppress(EOFError):
            while True:
                theirs.send(_in_a_fork(theirs.recv()))
        os._exit(0)
    theirs.close()
    return ours


def _in_a_fork(job: Any) -> Any:
    from cortexbuild.exec.logs import log_to
    from cortexbuild.exec.worker import run_job

    read, write = Pipe(duplex=False)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _die_with(parent)
        log_to(Path(job.log))
        write.send(run_job(job, lambda _text: None, lambda _done, _total: None))
        os._exit(0)
    write.close()
    try:
        return read.recv()
    except EOFError:
        return None
    finally:
        os.waitpid(pid, 0)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _warm_up() -> None:
    """Import what commands import late, and look up the tools that they look up."""
    from cortexbuild.core.step import Kind
    from cortexbuild.tools import find_edges, find_tool

    with tempfile.TemporaryDirectory() as folder:
        read, write = Pipe(duplex=False)
        pid = os.fork()
        if pid == 0:
            for number in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            write.send(_modules_of_commands(Path(folder)))
            os._exit(0)
        for name in read.recv():
            with suppress(ImportError):
                importlib.import_module(name)
        os.waitpid(pid, 0)
    find_tool("text", Kind.QUANTIZE, "text")
    find_edges()
    gc.collect()
    gc.freeze()


def _modules_of_commands(folder: Path) -> list[str]:
    from cortexbuild.cli import wire
    from cortexbuild.cli.main import main
    from cortexbuild.exec.worker import run_job
    from endurance.world import World

    class Inline(Forks):
        def start(self, *jobs: Any) -> None:
            (job,) = jobs
            self._done = run_job(job, lambda _text: None, lambda _done, _total: None)

        def wait(self) -> Any:
            return self._done

    world = World(folder)
    project = world.projects["a"]
    os.chdir(project.root)
    os.environ.update(world.env, CORTEX_HOME=str(project.home))
    children = [Pipe()[0]]
    wire.open_executor = lambda room, tell: Inline(list(children))  # type: ignore[assignment]
    for words in ("sync", "push", "verify", "plan", "cache ls", "cache gc --keep 1GB", "why m:t0"):
        main(words.split())
    return sorted(name for name in sys.modules if not name.startswith(("endurance", "__")))


if __name__ == "__main__":
    serve()
