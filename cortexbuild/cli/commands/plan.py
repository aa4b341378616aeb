"""`plan`: say what `sync` would do, and why. The agenda of a sync, looked at and not run."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ...app.explain import Outlook, foresee, outlook
from ...app.fitted import Fitted, fitted
from ...app.project import Project
from ...core.digest import Tree
from ...core.forecast import Forecast
from ...core.needs import Capacity
from ...core.plan import Scope
from ...core.schedule import misfit
from ...core.step import Kind
from .. import words
from ..machine import capacity
from ..sharing import Sharing, share
from .command import (
    Command,
    add_json,
    add_scope,
    add_targets,
    open_project,
    plain_reason,
    print_json,
    scope_of,
)


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    add_scope(parser)
    add_json(parser)
    parser.add_argument(
        "--remote", action="store_true", help="ask the remotes, too, for what need not be built"
    )


def _plan(args: argparse.Namespace) -> int:
    project = open_project(args)
    if args.remote:
        project, _ = share(project, Sharing(), _warn, keep=False)
    return show_plan(project, scope_of(args, project), as_json=args.json)


def _warn(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


NOTHING = 1e-9
"""A divergence that is none, but for rounding."""

STATES = {"fresh": "fresh", "remote": "in a remote", "will-run": "will run", "may-run": "may run"}


def show_plan(project: Project, scope: Scope, *, as_json: bool, keep: bool = True) -> int:
    """`keep` is as the command line says it of intermediates; cortex.yaml may say otherwise."""
    steps, targets = outlook(project, scope), scope.targets
    room = capacity(project.manifest.resources)
    coming = foresee(project, steps, room, keep=keep and project.manifest.cache.keep_intermediates)
    counts = Counter[str](step.state for step in steps)
    fits = {name: fitted(project, project.plan.goals[name]) for name in targets}
    if as_json:
        _print_plan(project, steps, counts, (coming, room), fits)
        return 0
    said = ", ".join(f"{counts[state]} {word}" for state, word in STATES.items() if counts[state])
    print(f"{words.count(len(targets), 'target')}, {words.count(len(steps), 'step')}: {said}")
    for name in targets:
        if note := project.plan.goals[name].note:
            print(f"  {name}: {note}")
    _print_fits(fits)
    rows = [
        (f"  {STATES[s.state]}", s.step.label, words.size(s.size), _why(s))
        for s in steps
        if s.state != "fresh"
    ]
    if rows:
        print()
        widths = [max(len(row[n]) for row in rows) for n in range(3)]
        for row in rows:
            cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2].rjust(widths[2])]
            print("  ".join([*cells, row[3]]))
        _print_needs(project, steps, coming, room)
    return 0


def _print_needs(
    project: Project, steps: Sequence[Outlook], coming: Forecast, room: Capacity
) -> None:
    free = shutil.disk_usage(_existing(project)).free
    at_once = f", {words.size(coming.peak)} at once" if coming.peak < coming.written else ""
    print(f"\nwrites about {words.size(coming.written)}{at_once} ({words.size(free)} free)")
    runs = [(step, step.coming.needs) for step in steps if step.coming]
    largest, needs = max(runs, key=lambda run: run[1].memory)
    total = f"{words.size(room.memory)} of memory"
    print(f"{largest.step.label} takes the most of {total}, about {words.size(needs.memory)}")
    for step, needs in runs:
        if failure := misfit(needs, room):
            print(f"  {step.step.label}: {failure.message}")


def _print_fits(fits: Mapping[str, Fitted | None]) -> None:
    """Each frontier once, and for each target where its budget meets it."""
    told: list[object] = []
    for name, found in fits.items():
        if found is None:
            continue
        if not found.frontier:
            print(f"  {name}: what its budget buys is known after `sync --until measure`")
            continue
        if found.frontier not in told:
            told.append(found.frontier)
            points = [(words.size(p.bytes), _divergence(p.kl)) for p in found.frontier]
            print(f"  {name}: what weights of some size would cost, about")
            for size, kl in points:
                print(f"    {size:>9}  KL {kl}")
        if found.chosen is None or found.budget is None:
            print(f"  {name}: {found.wrong}")
        else:
            kl = _divergence(found.chosen.kl)
            taken, budget = words.size(found.chosen.bytes), words.size(found.budget)
            print(f"  {name}: {taken} of a budget of {budget}, KL about {kl}")


def _divergence(kl: float) -> str:
    return f"{kl:.2g}" if kl > NOTHING else "0"


def _existing(project: Project) -> str:
    return str(project.store.root)


def _why(step: Outlook) -> str:
    return "; ".join(reason.text for reason in step.reasons[:2])


def _print_plan(
    project: Project,
    steps: Sequence[Outlook],
    counts: Counter[str],
    needs: tuple[Forecast, Capacity],
    fits: Mapping[str, Fitted | None],
) -> None:
    labels = {step.id: step.step.label for step in steps}
    listed = [
        {
            "id": step.step.label,
            "kind": step.step.kind.value,
            "code": step.step.code,
            "state": step.state,
            "key": step.key,
            "key_if_unchanged": step.key_if_unchanged,
            "reasons": [plain_reason(reason) for reason in step.reasons],
            "inputs": {
                role: {"step": labels.get(item.step), "artifact": _digest(step.inputs[role])}
                for role, item in step.step.inputs.items()
            },
            "outputs": [{"artifact": _digest(step.tree), "size_estimate": step.size}],
            "cache": {"local": step.here, "remote": step.state == "remote" or None},
            "seconds_estimate": step.seconds,
            "pool": "net" if step.step.kind is Kind.FETCH else "cpu",
            "needs": asdict(step.coming.needs) if step.coming else None,
        }
        for step in steps
    ]
    summary = {
        "fresh": counts["fresh"],
        "remote": counts["remote"],
        "will_run": counts["will-run"],
        "may_run": counts["may-run"],
    }
    coming, room = needs
    free = shutil.disk_usage(_existing(project)).free
    disk = {"needed": coming.written, "at_once": coming.peak, "free": free}
    memory = {"at_once": coming.memory, "limit": room.memory}
    targets = [
        {
            "target": name,
            "note": project.plan.goals[name].note or None,
            "fit": asdict(found) if found else None,
        }
        for name, found in fits.items()
    ]
    fields = {
        "summary": summary,
        "targets": targets,
        "steps": listed,
        "disk": disk,
        "memory": memory,
    }
    print_json("plan/1", fields)


def _digest(tree: Tree | None) -> str | None:
    return tree.digest if tree is not None else None


COMMANDS = (Command("plan", "say what `sync` would do, and run nothing", _plan_arguments, _plan),)
