"""What a tool is given for a step, and what becomes of what it made."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import processes
from ..core.digest import Tree
from ..core.ports import Job, Progress, Run, Tool
from ..core.step import Kind, Trace
from ..errors import REPORT, ToolError
from ..redaction import without_logins
from ..store import disk
from ..store.local import LocalStore
from ..store.unfinished import Unfinished
from ..tools import find_tool
from ..version import VERSION
from .engines import check_versions
from .modelcode import admit


@dataclass(frozen=True, slots=True)
class Making:
    """A job whose tool may begin: all that it needs is in a folder of its own."""

    job: Job
    folder: Path
    tool: Tool
    run: Run
    params: Any
    output: Unfinished


def prepare(job: Job, store: LocalStore, folder: Path, progress: Progress) -> Making:
    step = job.step
    inputs = {}
    for role, tree in job.inputs.items():
        inputs[role] = folder / "in" / role
        disk.make_passing_folder(inputs[role])
        store.stage(tree, inputs[role])
    out, aside = folder / "out", folder / "aside"
    disk.make_passing_folder(out)
    disk.make_passing_folder(aside)
    tool = find_tool(step.tool.name, step.kind, step.format)
    check_versions(step.tool, tool)
    # What is not the same to the last bit in every run has to come from one.
    goes_on = job.again == "no" and tool.determinism == "bit-exact"
    unfinished = Unfinished(store, job.key, aside, anew=not goes_on)
    run = Run(inputs, out, _call, progress, unfinished, step.code)
    if step.code:
        admit(folder / "code")
    return Making(job, folder, tool, run, tool.params.from_plain(step.params), unfinished)


def take_outputs(makings: Sequence[Making], store: LocalStore) -> Sequence[Tree]:
    """What tools made, once they have ended; the files are the store's from now on."""
    trees = store.add_folders([making.run.out for making in makings])
    return [
        Tree.of((*tree.files, *making.output.take()))
        for making, tree in zip(makings, trees, strict=True)
    ]


def refuse_nothing(making: Making, made: Tree) -> Tree:
    """Raises ToolError where that is all that was made."""
    if not made.files:
        raise ToolError(
            f"tool `{making.tool.name}` ended without an error and without an output", hint=REPORT
        )
    return made


def record(
    job: Job, tree: Tree, seconds: float, store: LocalStore, folder: Path,
    say: Callable[[str], None],
) -> Trace:  # fmt: skip
    """The trace of a step that was run here."""
    made = {
        "seconds": f"{seconds:.3f}",
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "platform": f"{platform.system()} {platform.machine()}",
        "cortexbuild": VERSION,
    }
    if job.step.kind is Kind.FETCH:
        made["origin"] = without_logins(job.step.origin)
    trace = Trace(job.key, job.ingredients, tree, job.step.label, made)
    return keep(job, trace, store, folder, say)


def keep(
    job: Job, trace: Trace, store: LocalStore, folder: Path, say: Callable[[str], None]
) -> Trace:
    before = store.trace(job.key, job.ingredients)
    kept = store.keep_trace(trace, folder, replace=job.again == "replace")
    if before is not None and before.tree != trace.tree:
        which = "the first are kept" if kept.tree != trace.tree else "the new ones are kept"
        say(f"{job.step.label} gave other bytes than a run before it; {which}")
    return kept


def _call(argv: Sequence[str]) -> None:
    """Run a program; what it prints goes to the step's log."""
    if (code := processes.run(argv)) != 0:
        raise ToolError(
            f"`{Path(argv[0]).name}` ended with {code}", hint="what it said is in the log"
        )
