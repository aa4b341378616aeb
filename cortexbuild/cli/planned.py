"""What a sync would do, in words and as JSON has it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ..app.explain import Outlook, Reason, foresee, outlook
from ..app.fitted import Fitted, fitted
from ..app.project import Project
from ..core.digest import Tree
from ..core.needs import Capacity
from ..core.plan import Scope
from ..core.scheduling.forecast import Forecast
from ..core.scheduling.schedule import misfit
from ..core.step import Kind, StepId
from . import words
from .machine import capacity

NO_DIVERGENCE = 1e-9
"""What is left of none by rounding."""

STATES = {"fresh": "fresh", "remote": "in a remote", "will-run": "will run", "may-run": "may run"}


@dataclass(frozen=True, slots=True)
class Planned:
    """The steps of a scope, what they come to on a machine with this `room` and so many bytes
    `free`, what budgets buy, by target, and what is to be known of a target."""

    steps: Sequence[Outlook]
    coming: Forecast
    room: Capacity
    free: int
    fits: Mapping[str, Fitted | None]
    notes: Mapping[str, str]

    def counts(self) -> Counter[str]:
        """How many steps are in which state."""
        return Counter(step.state for step in self.steps)


def look_ahead(project: Project, scope: Scope, *, keep: bool) -> Planned:
    """`keep` says whether intermediates stay."""
    steps, room = outlook(project, scope), capacity(project.manifest.resources)
    goals = {name: project.plan.goals[name] for name in scope.targets}
    return Planned(
        steps,
        foresee(project, steps, room, keep=keep),
        room,
        shutil.disk_usage(project.store.root).free,
        {name: fitted(project, goal) for name, goal in goals.items()},
        {name: goal.note for name, goal in goals.items()},
    )


def print_plan(planned: Planned) -> None:
    counts, steps = planned.counts(), planned.steps
    said = ", ".join(f"{counts[state]} {word}" for state, word in STATES.items() if counts[state])
    print(f"{words.count(len(planned.fits), 'target')}, {words.count(len(steps), 'step')}: {said}")
    for name, note in planned.notes.items():
        if note:
            print(f"  {name}: {note}")
    _print_fits(planned.fits)
    rows = [
        (f"  {STATES[step.state]}", step.step.label, words.size(step.size), _why(step))
        for step in steps
        if step.state != "fresh"
    ]
    if rows:
        print()
        widths = [max(len(row[n]) for row in rows) for n in range(3)]
        for row in rows:
            cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2].rjust(widths[2])]
            print("  ".join([*cells, row[3]]))
        _print_needs(planned)


def _why(step: Outlook) -> str:
    return "; ".join(reason.text for reason in step.reasons[:2])


def _print_needs(planned: Planned) -> None:
    coming, room = planned.coming, planned.room
    at_once = f", {words.size(coming.peak)} at once" if coming.peak < coming.written else ""
    print(f"\nwrites about {words.size(coming.written)}{at_once} ({words.size(planned.free)} free)")
    runs = [(step, step.coming.needs) for step in planned.steps if step.coming]
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
    return f"{kl:.2g}" if kl > NO_DIVERGENCE else "0"


def plain_plan(planned: Planned) -> Mapping[str, object]:
    counts, coming = planned.counts(), planned.coming
    labels = {step.id: step.step.label for step in planned.steps}
    targets = [
        {
            "target": name,
            "note": planned.notes[name] or None,
            "fit": asdict(found) if found else None,
        }
        for name, found in planned.fits.items()
    ]
    return {
        "summary": {state.replace("-", "_"): counts[state] for state in STATES},
        "targets": targets,
        "steps": [_plain_step(step, labels) for step in planned.steps],
        "disk": {"needed": coming.written, "at_once": coming.peak, "free": planned.free},
        "memory": {"at_once": coming.memory, "limit": planned.room.memory},
    }


def _plain_step(step: Outlook, labels: Mapping[StepId, str]) -> Mapping[str, object]:
    return {
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


def plain_reason(reason: Reason) -> Mapping[str, object]:
    return {
        "code": reason.code,
        "text": reason.text,
        "where": reason.where or None,
        "input": reason.input or None,
        "upstream": reason.upstream or None,
        "certain": reason.certain,
    }


def _digest(tree: Tree | None) -> str | None:
    return tree.digest if tree is not None else None
