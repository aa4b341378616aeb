"""Jobs on this machine: a pool of child processes, kept warm per engine.

An engine costs seconds to import, so a child that has one is used again for it. A child that
dies is a failed step, and nothing else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait

from ..core.events import Event, Said, StepMoved
from ..core.ports import Done, Job
from ..core.step import Failure, Kind

MOST_JOBS = 50  # of one child: libraries leak
PASSED = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "VIRTUAL_ENV",
    "PYTHONPATH", "CORTEX_HOME", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LD_LIBRARY_PATH",
    "CXX",
)  # fmt: skip
PASSED_TO_FETCH = (
    "NETRC", "SSL_CERT_DIR", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "HF_ENDPOINT", "HF_HOME", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "XDG_CACHE_HOME",
    "OLLAMA_MODELS", "CORTEX_OFFLINE",
    "HF_HUB_DISABLE_XET", "HF_HUB_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY",
    "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CORTEX_LLAMA_CPP", "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "PIP_NO_INDEX", "PIP_PROXY",
    "PIP_TRUSTED_HOST",
)  # fmt: skip
PREFIXES_TO_FETCH = ("AWS_", "AZURE_", "GOOGLE_", "CORTEX_REMOTE_", "HF_XET_")
"""What clients of shared caches, and of the Hub's storage, are told by their usual variables."""


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    pipe: Connection
    life: int
    engine: str
    job: Job | None = None
    jobs: int = 0


class LocalExecutor:
    """At most `slots` jobs at once. No more than `most` children are kept when they are idle.
    `tell` hears of progress while `wait` waits."""

    def __init__(self, slots: int, most: int, tell: Callable[[Event], None]) -> None:
        self._slots, self._most, self._tell = slots, most, tell
        self._children: list[_Child] = []  # the one that was used last stands last

    def free(self) -> int:
        return self._slots - sum(1 for child in self._children if child.job is not None)

    def start(self, job: Job) -> None:
        child = self._child_for(_engine_of(job))
        child.job, child.jobs = job, child.jobs + 1
        self._children.remove(child)
        self._children.append(child)
        try:
            child.pipe.send(job)
        except OSError:  # it died while idle: `wait` will see the closed pipe
            return

    def wait(self) -> Done:
        while True:
            busy = {child.pipe: child for child in self._children if child.job is not None}
            for ready in wait(list(busy)):
                done = self._hear(busy[ready])  # type: ignore[index]
                if done is not None:
                    return done

    def close(self) -> None:
        for child in list(self._children):
            self._end(child)

    def _hear(self, child: _Child) -> Done | None:
        assert child.job is not None, "only busy children are waited for"
        job = child.job
        try:
            what, value = child.pipe.recv()
        except (EOFError, OSError):
            self._end(child)
            return Done(job.id, Failure(_death(child.process), "", job.log))
        if what == "said":
            self._tell(Said(value))
        elif what == "moved":
            self._tell(StepMoved(*value))
        else:
            child.job = None
            if child.jobs >= MOST_JOBS:
                self._end(child)
            done: Done = value
            return done
        return None

    def _child_for(self, engine: str) -> _Child:
        idle = [child for child in self._children if child.job is None]
        for child in idle:
            if child.engine == engine and child.process.poll() is None:
                return child
        if idle and len(self._children) >= self._most:
            self._end(idle[0])
        self._children.append(_start_child(engine))
        return self._children[-1]

    def _end(self, child: _Child) -> None:
        """Kill a child and the programs it started: its work is published whole or not at all."""
        self._children.remove(child)
        with suppress(ProcessLookupError):
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
        child.pipe.close()
        os.close(child.life)


def _start_child(engine: str) -> _Child:
    ours, theirs = Pipe()
    life_read, life_write = os.pipe()
    # -P: Python would look for modules in the project's folder first, and find its json.py.
    argv = [sys.executable, "-P", "-m", "cortexbuild.exec.child"]
    process = subprocess.Popen(
        [*argv, str(theirs.fileno()), str(os.getpid()), str(life_read)],
        stdin=subprocess.DEVNULL,
        env=_environment(engine),
        pass_fds=(theirs.fileno(), life_read),
        start_new_session=True,  # Ctrl-C in the terminal is the parent's to handle
    )
    theirs.close()
    os.close(life_read)
    return _Child(process, ours, life_write, engine)


def _environment(engine: str) -> dict[str, str]:
    passed = PASSED + (PASSED_TO_FETCH if engine == Kind.FETCH else ())
    chosen = {name: os.environ[name] for name in passed if name in os.environ}
    if engine == Kind.FETCH:
        chosen |= {n: v for n, v in os.environ.items() if n.startswith(PREFIXES_TO_FETCH)}
    if engine != Kind.FETCH:  # only a fetch may use the network
        chosen |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
    quiet |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    # numpy's threads wait for each other by spinning: beside another step, a factorization of 768
    # columns took 0.3 s with two and 0.03 s with one. And sums depend on how many there are.
    chosen.setdefault("OPENBLAS_NUM_THREADS", "1")
    return chosen | quiet | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _engine_of(job: Job) -> str:
    if job.step.kind is Kind.FETCH or job.pull is not None:
        return Kind.FETCH
    return next(iter(job.step.tool.engine), "")


def _death(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        why = " (out of memory?)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{why}"
    return f"its process ended with {code}"
