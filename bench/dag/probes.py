"""What each tool does when something goes wrong: five models, 45 steps."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from measure import SAID
from scenarios import Project
from workload import HEAD, MARKS, STEPS, head, tail

MODELS = 5
ALL = MODELS * STEPS
BOTH = (SAID, "other.txt")


def wrong_outputs(project: Project) -> int:
    """How many results are not what they should be, or not there."""
    count = 0
    for model in range(MODELS):
        for mark in MARKS:
            said = project.marks.get((model, mark), mark)
            path = project.tool.output(project.work, model, mark)
            count += not path.exists() or path.read_bytes() != expected(model, said)
    return count


def expected(model: int, mark: str) -> bytes:
    return (head(model) + tail(model))[: len(head(model))] + mark.encode()


def killed(project: Project) -> str:
    """kill -9 of a build when a third has run, and the same command again."""
    project.begin()
    slow = project.tool.slow_down(project.work, 200)
    process = _start(project, slow, project.work / SAID)
    while _begun(project) < ALL // 3 and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)
    torn = f", {n} torn" if (n := _torn(project)) else ""
    done = project.tool.steps_run(project.work)
    project.tool.as_usual(project.work)
    taken = project.run()
    said = f"{done} begun{torn}; then {taken.steps} run, exit {taken.code}"
    return f"{said}, {wrong_outputs(project)} wrong"


def two_at_once(project: Project) -> str:
    project.begin()
    slow = project.tool.slow_down(project.work, 20)
    both = [_start(project, slow, project.work / name) for name in BOTH]
    codes = [process.wait() for process in both]
    ran = project.tool.steps_run(project.work, BOTH)
    project.tool.as_usual(project.work)
    return f"exit {codes[0]} and {codes[1]}; {ran} run, {wrong_outputs(project)} wrong"


def corrupted_output(project: Project) -> str:
    """A byte is flipped in a result, and its time put back."""
    project.begin()
    project.run()
    time.sleep(2.5)
    project.run(project.tool.again)
    _flip(project.tool.output(project.work, 0, "q4"))
    taken = project.run()
    return f"{_noticed(project)}; {taken.steps} run, exit {taken.code}"


def corrupted_cache(project: Project) -> str:
    """The same in what is kept, and then the outputs are lost."""
    if not project.tool.keeps:
        return "keeps nothing"
    project.begin()
    project.run()
    kept = project.tool.cached(project.work, expected(0, "q4"))
    for path in kept:
        _flip(path)
    project.tool.lose_outputs(project.work)
    taken = project.run()
    said = _noticed(project) if kept else "not found"
    return f"{said}; {taken.steps} run, exit {taken.code}"


def failing_step(project: Project) -> str:
    """One quantize fails: by default, and when told to go on."""
    told = []
    for more in ((), project.tool.keep_going):
        project.begin()
        fails = project.tool.let_fail(project.work, MODELS, 1, "q5")
        process = _start(project, fails, project.work / SAID, more)
        code = process.wait()
        told.append(f"{project.tool.steps_run(project.work)} run, exit {code}")
        project.tool.as_usual(project.work)
    return f"{told[0]}; told to go on: {told[1]}"


PROBES: Mapping[str, Callable[[Project], str]] = {
    "`kill -9` after a third, and again": killed,
    "two builds at once": two_at_once,
    "a byte of a result flipped, its time put back": corrupted_output,
    "a byte of the cache flipped, results lost": corrupted_cache,
    "one step of 45 fails": failing_step,
}


def _start(
    project: Project, environment: Mapping[str, str], said: Path, more: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    with said.open("wb") as out:
        return subprocess.Popen(
            [*project.tool.build, *more], cwd=project.work, stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **project.tool.environment(project.work), **environment},
        )  # fmt: skip


def _begun(project: Project) -> int:
    log = project.work / "ran.log"
    path = log if log.exists() else project.work / SAID
    return len(path.read_bytes().splitlines())


def _torn(project: Project) -> int:
    """Results under their own names that are not whole."""
    paths = [project.tool.output(project.work, m, mark) for m in range(MODELS) for mark in MARKS]
    return sum(path.exists() and path.stat().st_size < HEAD // 2 + 1000 for path in paths)


def _flip(path: Path) -> None:
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[100] ^= 1
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(content)
    path.chmod(stat.st_mode)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _noticed(project: Project) -> str:
    return "**not noticed**" if wrong_outputs(project) else "noticed, repaired"
