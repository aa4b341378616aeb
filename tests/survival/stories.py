"""What is done on a disk that fails, and what must be true of it whatever befell it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

from survival.faulty import Fault, Faulty
from survival.power import PowerLoss
from workspace import RECIPE, Workspace, tiny_safetensors

from cortexbuild.core.digest import File, Tree
from cortexbuild.core.ports import Done, Job
from cortexbuild.exec.together import run_together
from cortexbuild.exec.worker import run_job
from cortexbuild.store.system import System, replaced
from cortexbuild.store.traces import trace_from_text

TEXTS = {"m--a": "H", "m--b": "HE"}
BUG = "this is a bug"


class Inline:
    """An executor whose steps run in this process, and nothing else meanwhile: faults befall them
    too."""

    def __init__(self, *_: object) -> None:
        self.jobs: tuple[Job, ...] = ()
        self.ended: list[Done] = []

    def free(self) -> int:
        return 0 if self.jobs or self.ended else 1

    def start(self, *jobs: Job) -> None:
        self.jobs = jobs

    def wait(self) -> Done:
        if self.jobs:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                self.ended = list(self.outcomes())
            self.jobs = ()
        return self.ended.pop(0)

    def outcomes(self) -> Iterator[Done]:
        if len(self.jobs) > 1:
            with same_output():
                yield from run_together(self.jobs, lambda _: None, lambda _: lambda *_: None)
        else:
            yield run_job(self.jobs[0], lambda _: None, lambda *_: None)

    def close(self) -> None:
        self.jobs, self.ended = (), []


@contextmanager
def same_output() -> Iterator[None]:
    """What this process prints goes afterwards where it went before."""
    kept = [(number, os.dup(number)) for number in (1, 2)]
    try:
        yield
    finally:
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)


SYNC = ("sync", "--json", "--cache", "remote:rw", "-j", "1")


@dataclass(frozen=True)
class Story:
    """`calls` are made one after the other on a disk that fails, after `before` on one that does
    not. `change` is of cortex.yaml between them."""

    name: str
    before: tuple[tuple[str, ...], ...]
    calls: tuple[tuple[str, ...], ...]
    change: tuple[str, str] = ("", "")
    recipe: str = RECIPE
    other_home: bool = False  # the calls are of a second machine
    again: tuple[str, ...] = SYNC  # what a person does then


STORIES = (
    Story("sync", (), (SYNC,)),
    Story("sync in one go", (), (SYNC,), recipe=RECIPE.replace("quantize, tool: text", "quantize, tool: press")),
    Story("sync after a change", (SYNC,), (SYNC,), ("keep: 2", "keep: 3")),
    Story("pull", (SYNC,), (SYNC,), other_home=True),
    Story("force and replace", (SYNC,), ((*SYNC, "--force", "--replace"),)),
    Story("prune and gc", (SYNC,), (
        ("sync", "--prune", "--cache", "remote:rw"), ("cache", "gc", "--older-than", "0d"),
    ), ("      b: {recipe: short, set: {keep: 2}}\n", ""), again=(*SYNC, "--prune")),
)  # fmt: skip


def prepared(folder: Path, story: Story) -> Workspace:
    """A project and a home on which the story may begin."""
    space = Workspace(folder / "project", folder / "home", inside=True)
    space.write("recipes/short.yaml", story.recipe)
    space.write("weights/config.json", '{"text": "hello world"}')
    space.write("weights/model.safetensors", tiny_safetensors())
    (folder / "remote").mkdir()
    space.write(
        "cortex.yaml",
        f"""\
schema: 1
cache: {{remotes: [{{url: "file://{folder}/remote", name: shared, unsigned: true}}]}}
models:
  m:
    source: path:weights
    targets:
      a: {{recipe: short, set: {{keep: 1}}}}
      b: {{recipe: short, set: {{keep: 2}}}}
""",
    )
    for call in story.before:
        space.run(*call)
    if story.change[0]:
        path = space.root / "cortex.yaml"
        path.write_text(path.read_text().replace(*story.change))
    if story.other_home:
        shutil.rmtree(space.home)
        (space.root / "cortex.lock").unlink()
    return space


@dataclass(frozen=True)
class Came:
    """What a story came to: `code` is None where the power failed."""

    code: int | None
    out: str = ""
    err: str = ""


def play(space: Workspace, story: Story, disk: Faulty) -> Came:
    """The calls of the story, up to the first that does not end well."""
    with replaced(disk):
        try:
            for call in story.calls:
                done = ended(space, *call)
                if done.code != 0:
                    return done
        except PowerLoss:
            pass
    if disk.dead:  # whoever caught it
        disk.power.fail(disk.fault.power, disk.at)
        return Came(None)
    return done


def ended(space: Workspace, *call: str) -> Came:
    done = space._run_inside(call)
    return Came(done.returncode, done.stdout, done.stderr)


def between(space: Workspace) -> Callable[[], None]:
    """Others do all that they can do, and wait for nobody."""

    def others() -> None:
        with replaced(System()):
            for call in (
                ("sync", "--no-wait"),
                ("cache", "gc", "--keep", "0B", "--lock-timeout", "0"),
            ):
                done = ended(space, *call)
                assert done.code in (0, 1, 4) and BUG not in done.err, done.err

    return others


def check_visible(space: Workspace, former: dict[str, str], lock: set[str | None]) -> list[str]:
    """That nothing half or wrong is to be seen; gives the labels of the steps that are recorded."""
    for blob in space.blobs():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name, f"{blob} is wrong"
    recorded = []
    for path in sorted((space.store / "ac").rglob("*.json")):
        trace = trace_from_text(path.read_text())
        assert trace.key == path.stem, f"{path} is of another step"
        recorded.append(trace.label)
    for view in sorted(space.home.glob("*_models/*")):
        if view.is_symlink() and not view.name.startswith("."):
            check_view(view, former)
    path = space.root / "cortex.lock"
    assert (path.read_text() if path.exists() else None) in lock, "cortex.lock is torn"
    check_remote(space.root.parent / "remote")
    return recorded


def check_view(view: Path, former: dict[str, str]) -> None:
    """A view shows a whole tree, and the right one or the one that it showed before."""
    folder = view.resolve(strict=True)
    files = [
        File(p.relative_to(folder).as_posix(), hashlib.sha256(p.read_bytes()).hexdigest(),
             p.stat().st_size)
        for p in sorted(folder.rglob("*")) if p.is_file()
    ]  # fmt: skip
    assert Tree.of(files).digest == folder.name, f"{view} shows a half result"
    assert (view / "model.txt").read_text() in (TEXTS.get(view.name), former.get(view.name), "HEL")


def check_remote(folder: Path) -> None:
    for path in sorted(folder.glob("cas/*")):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name, f"{path} is wrong"
    for path in sorted(folder.glob("ac/*")):
        for file in trace_from_text(path.read_text()).tree.files:
            if (folder / "cas" / file.digest).exists():
                assert (folder / "cas" / file.digest).stat().st_size == file.size


def shown(space: Workspace) -> dict[str, str]:
    return {
        view.name: (view / "model.txt").read_text()
        for view in space.home.glob("*_models/[a-z]*") if view.is_symlink() and view.exists()
    }  # fmt: skip


def lock_text(space: Workspace) -> str | None:
    with suppress(FileNotFoundError):
        return (space.root / "cortex.lock").read_text()
    return None


def left_over(space: Workspace) -> list[str]:
    """What nobody will ever use: work in progress, and drafts."""
    found = space.debris()
    for folder in (space.root, space.home):
        found += [
            str(path) for path in folder.rglob(".*") if path.name.rpartition(".")[2].isdigit()
        ]
    return found


def reran(came: Came) -> list[str]:
    return [step["step"] for step in json.loads(came.out)["steps"] if step["change"] == "built"]


def say(fault: Fault, at: int, calls: list[str]) -> str:
    return f"call {at} ({calls[at]}): {fault.name}"


def of_the_dead(place: Path) -> None:
    """The process that left what lies there is this one, and is taken for one that has ended."""
    ours, dead = str(os.getpid()), "4194999"  # more than any number that Linux gives
    for path in sorted(place.rglob(f"*{ours}*"), reverse=True):
        if path.name.startswith(f"{ours}-") or path.name.endswith(f".{ours}"):
            path.rename(path.with_name(path.name.replace(ours, dead)))
