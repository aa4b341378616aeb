"""What a sync came to: in words on stderr, or as one JSON document."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from ..app.sync import Outcome
from ..core.events import StepChanged
from ..remotes.send import Sent
from ..remotes.tiers import Tally, Tiers
from . import words
from .jsontext import print_json
from .logs import last_lines
from .sharing import Pushed

ENDS = {
    "built": "built",
    "pulled": "pulled",
    "reused": "made by others",
    "fresh": "fresh",
    "failed": "failed",
    "skipped": "skipped",
}
"""What steps may come to, and what it is called."""


def summary(counts: Counter[str], targets: int) -> str:
    said = ", ".join(f"{counts[end]} {word}" for end, word in ENDS.items() if counts[end])
    busy = counts["built"] or counts["pulled"] or counts["failed"]
    idle = "" if busy else "nothing to do, "
    return f"{words.count(targets, 'target')}: {idle}{said or 'no'} steps"


def print_failures(outcome: Outcome) -> None:
    for label, failure in outcome.failed.items():
        print(f"\n{label} failed: {failure.message}", file=sys.stderr)
        if failure.hint:
            print(f"  hint: {failure.hint}", file=sys.stderr)
        if failure.log:
            for line in last_lines(Path(failure.log)):
                print(f"  | {line}", file=sys.stderr)
            print(f"  all of it: cortexbuild log {label}  ({failure.log})", file=sys.stderr)
    for one in outcome.targets:
        if one.tree is not None:
            for problem in one.wrong:
                print(f"\n{one.target} is not good enough: {problem}", file=sys.stderr)


def print_sharing(tiers: Tiers | None, told: Sequence[Pushed]) -> None:
    """What the remotes came to; nothing is said where they were not asked."""
    if tiers is not None:
        for why, count in sorted(tiers.tally.ignored.items()):
            said = words.count(count, "remote result")
            print(f"{said} ignored: {why}{_remedy(why)}", file=sys.stderr)
    print_pushed(told)


def print_pushed(told: Sequence[Pushed]) -> None:
    """What each remote took; one that was away is told of elsewhere."""
    for pushed in told:
        if pushed.sent is not None:
            print(f"{pushed.remote}: {_said_of(pushed.sent)}", file=sys.stderr)


def _said_of(sent: Sent) -> str:
    there = f", {sent.there} already there" if sent.there else ""
    files = words.count(sent.contents, "file")
    records = words.count(sent.records, "record")
    said = f"pushed {records} and {files} ({words.size(sent.size)}){there}"
    if sent.others:
        said += f"; other bytes than here are there, and stay, of {', '.join(sent.others)}"
    if sent.strangers:
        said += f"; not sent, being of somebody who is not trusted: {', '.join(sent.strangers)}"
    if not sent.rooted:
        said += "; it keeps no roots, so `cache gc` would go by age alone"
    return said


def _remedy(why: str) -> str:
    if "not trusted" in why:
        return " (`cortexbuild keys trust NAME:KEY`, or `trust:` in cortex.yaml)"
    if "not signed" in why:
        return " (whoever pushes has to have a key: `cortexbuild keys new`)"
    return ""


def print_outcome(
    outcome: Outcome,
    changes: Sequence[StepChanged],
    seconds: float,
    tiers: Tiers | None,
    told: Sequence[Pushed],
) -> None:
    targets = [
        {
            "target": one.target,
            "ok": not one.wrong,
            "wrong": list(one.wrong),
            "path": str(one.path),
            "digest": one.tree.digest if one.tree else None,
            "size": one.tree.size if one.tree else None,
        }
        for one in outcome.targets
    ]
    steps = [
        {
            "step": c.label,
            "change": c.change,
            "seconds": round(c.seconds, 3),
            "size": c.size,
            "from": c.detail.split(", ") if c.change == "pulled" else [],
        }
        for c in changes
        if c.change != "started"
    ]
    failures = {
        label: {"message": failure.message, "hint": failure.hint, "log": failure.log}
        for label, failure in outcome.failed.items()
    }
    counts = Counter(str(step["change"]) for step in steps)
    fields = {
        "summary": {end: counts[end] for end in ENDS} | {"seconds": round(seconds, 3)},
        "targets": targets,
        "steps": steps,
        "failures": failures,
        "remote": plain_sharing(tiers, told),
    }
    print_json("sync/1", fields)


def plain_sharing(tiers: Tiers | None, told: Sequence[Pushed]) -> Mapping[str, object]:
    tally = tiers.tally if tiers is not None else Tally()
    asked = tiers.tiers if tiers is not None else ()
    return {
        "hits": tally.hits,
        "misses": tally.misses,
        "ignored": dict(tally.ignored),
        "errors": {t.address.name: t.trouble for t in asked if t.trouble},
        "pushed": plain_pushed(told),
    }


def plain_pushed(told: Sequence[Pushed]) -> Mapping[str, Mapping[str, object]]:
    return {one.remote: asdict(one.sent) if one.sent else {"error": str(one.wrong)} for one in told}
