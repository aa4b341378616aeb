"""Run one job. The same function serves a process here and a machine elsewhere."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from ..core.digest import Tree
from ..core.lock import Pinned
from ..core.ports import Done, Job, Progress, Pull, Run, Tool
from ..core.step import Failure, Kind, ToolId, Trace
from ..errors import CortexError, RemoteError, ToolError
from ..remotes import open_remote
from ..remotes.receive import receive
from ..sources import find_source
from ..store.delivery import StoreDelivery
from ..store.local import LocalStore
from ..store.scratch import scratch
from ..store.steplock import step_lock
from ..store.unfinished import Unfinished
from ..tools import find_tool
from ..version import VERSION


def run_job(job: Job, say: Callable[[str], None], progress: Progress) -> Done:
    """Make the step's output and record it, unless another process did while we waited."""
    store = LocalStore(Path(job.store))
    try:
        with step_lock(store.root, job.key, job.step.label, say, job.patience):
            found = store.trace(job.key, job.ingredients)
            if found is not None and job.again == "no" and store.has_tree(found.tree):
                return Done(job.id, found, reused=True)
            if job.pull is not None:
                return _pull(job, job.pull, store, say, progress)
            return Done(job.id, _make(job, store, say, progress))
    except CortexError as error:
        print(f"error: {error}", file=sys.stderr)
        return Done(job.id, Failure(str(error), error.hint, job.log, error.exit_code))
    except Exception as error:  # the one place where any error is an outcome, not a crash
        traceback.print_exc()
        return Done(job.id, Failure(f"{type(error).__name__}: {error}", "", job.log))
    finally:
        store.close()


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
            made["origin"] = job.step.origin
        trace = Trace(job.key, job.ingredients, tree, job.step.label, made)
        before = store.trace(job.key, job.ingredients)
        kept = store.keep_trace(trace, folder, replace=job.again == "replace")
    if before is not None and before.tree != tree:
        which = "the first are kept" if kept.tree != tree else "the new ones are kept"
        say(f"{job.step.label} gave other bytes than a run before it; {which}")
    return kept


def _pull(
    job: Job, pull: Pull, store: LocalStore, say: Callable[[str], None], progress: Progress
) -> Done:
    """Bring the output of a step from a remote, and record it as it was recorded there."""
    started = time.monotonic()
    remotes = []
    for address in pull.remotes:
        try:
            remotes.append((address, open_remote(address, Path(job.root))))
        except RemoteError as error:  # another may have all of it
            say(f"{address.name}: {error}")
    with scratch(store.root) as folder:
        with closing(StoreDelivery(store, pull.tree, folder, progress)) as delivery:
            came = receive(pull.tree, remotes, store, delivery, say)
        origin = {"origin": job.step.origin}  # only a source is known without a record
        trace = pull.trace or Trace(job.key, job.ingredients, pull.tree, job.step.label, origin)
        kept = store.keep_trace(trace, folder)
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
        inputs[role].mkdir(parents=True)
        store.stage(tree, inputs[role])
    out, aside = folder / "out", folder / "aside"
    out.mkdir()
    aside.mkdir()
    tool = find_tool(step.tool.name, step.kind, step.format)
    check_versions(step.tool, tool)
    # What is not the same to the last bit in every run has to come from one.
    goes_on = job.again == "no" and tool.determinism == "bit-exact"
    unfinished = Unfinished(store, job.key, aside, anew=not goes_on)
    run = Run(inputs, out, _call, progress, unfinished)
    tool.run(run, tool.params.from_plain(step.params))
    made = Tree.of((*store.add_folder(out).files, *unfinished.take()))
    if not made.files:
        raise ToolError(f"tool `{tool.name}` ended without an error and without an output")
    return made


def check_versions(locked: ToolId, tool: Tool) -> None:
    """A key names the versions that make its output, so no others may make it.

    Raises ToolError with both versions and the ways out when those here are not the lock's.
    """
    here = tool.engine()
    others = {name: version for name, version in locked.engine.items() if here.get(name) != version}
    if others:
        names = " and ".join(f"{n} {here.get(n, 'none')} is here" for n in others)
        wanted = " ".join(f"{name}=={version}" for name, version in others.items())
        raise ToolError(
            f"{names}, and cortex.lock has {wanted.replace('==', ' ')}",
            hint=f"`pip install {wanted}`, or take what is here: `cortexbuild lock "
            "--upgrade-tools`",
        )
    if (tool.revision, set(here)) != (locked.revision, set(locked.engine)):
        raise ToolError(
            f"this cortexbuild ({VERSION}) has revision {tool.revision} of tool `{tool.name}`, "
            f"and cortex.lock has {locked.revision}",
            hint="install the cortexbuild that wrote cortex.lock, or take what is here: "
            "`cortexbuild lock --upgrade-tools`",
        )


def _call(argv: Sequence[str]) -> None:
    """Run a program; what it prints goes to the step's log."""
    done = subprocess.run(list(argv), stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ToolError(f"`{Path(argv[0]).name}` ended with {done.returncode}")
