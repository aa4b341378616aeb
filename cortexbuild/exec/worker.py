"""Run one job. The same function serves a process here and a machine elsewhere."""

from __future__ import annotations

import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from .. import processes
from ..core.digest import Tree
from ..core.lock import Pinned
from ..core.ports import Done, Job, Progress, Pull, Run
from ..core.step import Failure, Kind, Trace
from ..errors import REPORT, CortexError, ToolError
from ..redaction import redacted, without_logins
from ..remotes.receive import receive
from ..sources import find_source
from ..store import disk
from ..store.delivery import StoreDelivery
from ..store.local import LocalStore
from ..store.scratch import scratch
from ..store.steplock import step_lock
from ..store.trouble import told
from ..store.unfinished import Unfinished
from ..tools import find_tool
from ..version import VERSION
from .engines import check_versions
from .errand import Errand, open_remotes, run_errand
from .modelcode import admit

T = TypeVar("T")


def run(
    work: Job | Errand, say: Callable[[str], None], progress: Progress
) -> Done | Failure | None:
    """What came of a job; or why an errand was not done."""
    if isinstance(work, Job):
        return run_job(work, say, progress)
    with closing(LocalStore(Path(work.store))) as store:
        return _outcome(partial(run_errand, work, store, say, progress), work.log, work.store)


def run_job(job: Job, say: Callable[[str], None], progress: Progress) -> Done:
    """Make the step's output and record it, unless another process did while we waited."""
    with closing(LocalStore(Path(job.store))) as store:
        done = _outcome(partial(_do, job, store, say, progress), job.log, job.store)
    return Done(job.id, done) if isinstance(done, Failure) else done


def _do(job: Job, store: LocalStore, say: Callable[[str], None], progress: Progress) -> Done:
    with step_lock(store.root, job.key, job.step.label, say, job.patience):
        found = store.trace(job.key, job.ingredients)
        if found is not None and job.again == "no" and store.has_tree(found.tree):
            return Done(job.id, found, reused=True)
        if job.pull is not None:
            return _pull(job, job.pull, store, say, progress)
        return Done(job.id, _make(job, store, say, progress))


def _outcome(work: Callable[[], T], log: str, store: str) -> T | Failure:
    try:
        return work()
    except CortexError as error:
        print(f"error: {error}", file=sys.stderr)
        return Failure(str(error), error.hint, log, error.exit_code)
    except (Exception, SystemExit) as error:  # the one place where any is an outcome, not a crash
        traceback.print_exc()
        known = told(error, store) if isinstance(error, OSError) else None
        if known is not None:
            return Failure(str(known), known.hint, log, known.exit_code)
        return Failure(redacted(f"{type(error).__name__}: {error}"), REPORT, log)


def _make(job: Job, store: LocalStore, say: Callable[[str], None], progress: Progress) -> Trace:
    started = time.monotonic()
    with scratch(store.root) as folder:
        tree = _run(job, store, folder, progress)
        made = {
            "seconds": f"{time.monotonic() - started:.3f}",
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "platform": f"{platform.system()} {platform.machine()}",
            "cortexbuild": VERSION,
        }
        if job.step.kind is Kind.FETCH:
            made["origin"] = without_logins(job.step.origin)
        trace = Trace(job.key, job.ingredients, tree, job.step.label, made)
        return _keep(job, trace, store, folder, say)


def _keep(
    job: Job, trace: Trace, store: LocalStore, folder: Path, say: Callable[[str], None]
) -> Trace:
    before = store.trace(job.key, job.ingredients)
    kept = store.keep_trace(trace, folder, replace=job.again == "replace")
    if before is not None and before.tree != trace.tree:
        which = "the first are kept" if kept.tree != trace.tree else "the new ones are kept"
        say(f"{job.step.label} gave other bytes than a run before it; {which}")
    return kept


def _pull(
    job: Job, pull: Pull, store: LocalStore, say: Callable[[str], None], progress: Progress
) -> Done:
    """Bring the output of a step from a remote, and record it as it was recorded there."""
    started = time.monotonic()
    remotes = open_remotes(pull.remotes, Path(job.root), say)
    with scratch(store.root) as folder:
        with closing(StoreDelivery(store, pull.tree, folder, progress)) as delivery:
            came = receive(pull.tree, remotes, store, delivery, say)
        # Only a source is known without a record.
        origin = {"origin": without_logins(job.step.origin)}
        trace = pull.trace or Trace(job.key, job.ingredients, pull.tree, job.step.label, origin)
        kept = _keep(job, trace, store, folder, say)
    return Done(job.id, kept, pulled=came, seconds=time.monotonic() - started)


def _run(job: Job, store: LocalStore, folder: Path, progress: Progress) -> Tree:
    step = job.step
    if step.kind is Kind.FETCH:
        assert step.tree is not None, "a fetch knows what it brings"
        pinned = Pinned(step.origin, step.tree, {}, step.commit)
        with closing(StoreDelivery(store, step.tree, folder, progress)) as delivery:
            find_source(step.origin).fetch(pinned, Path(job.root), delivery)
        return step.tree

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
    tool.run(run, tool.params.from_plain(step.params))
    made = Tree.of((*store.add_folder(out).files, *unfinished.take()))
    if not made.files:
        raise ToolError(
            f"tool `{tool.name}` ended without an error and without an output", hint=REPORT
        )
    return made


def _call(argv: Sequence[str]) -> None:
    """Run a program; what it prints goes to the step's log."""
    if (code := processes.run(argv)) != 0:
        raise ToolError(
            f"`{Path(argv[0]).name}` ended with {code}", hint="what it said is in the log"
        )
