"""What a sync came to: in words on stderr, or as one JSON document."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..app.sync import Outcome
from ..core.events import StepChanged
from . import words
from .jsontext import print_json


def summary(counts: Counter[str], targets: int) -> str:
    said = [
        f"{counts[change]} {word}"
        for change, word in (
            ("built", "built"),
            ("reused", "made by others"),
            ("fresh", "fresh"),
            ("failed", "failed"),
            ("skipped", "skipped"),
        )
        if counts[change]
    ]
    idle = "nothing to do, " if not (counts["built"] or counts["failed"]) else ""
    return f"{words.count(targets, 'target')}: {idle}{', '.join(said)} steps"


def print_failures(outcome: Outcome) -> None:
    for label, failure in outcome.failed.items():
        print(f"\n{label} failed: {failure.message}", file=sys.stderr)
        if failure.hint:
            print(f"  hint: {failure.hint}", file=sys.stderr)
        if failure.log:
            for line in _last_lines(Path(failure.log)):
                print(f"  | {line}", file=sys.stderr)
            print(f"  log:  {failure.log}", file=sys.stderr)
    for one in outcome.targets:
        if one.tree is not None:
            for problem in one.wrong:
                print(f"\n{one.target} is not good enough: {problem}", file=sys.stderr)


def _last_lines(log: Path, most: int = 8) -> list[str]:
    try:
        return log.read_text(errors="replace").rstrip().splitlines()[-most:]
    except OSError:
        return []


def print_outcome(outcome: Outcome, changes: Sequence[StepChanged], seconds: float) -> None:
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
        {"step": c.label, "change": c.change, "seconds": c.seconds, "size": c.size}
        for c in changes
        if c.change != "started"
    ]
    failures = {
        label: {"message": failure.message, "hint": failure.hint, "log": failure.log}
        for label, failure in outcome.failed.items()
    }
    counts = Counter(str(step["change"]) for step in steps)
    names = ("built", "reused", "fresh", "failed", "skipped")
    summary = {name: counts[name] for name in names} | {"seconds": round(seconds, 3)}
    fields = {"summary": summary, "targets": targets, "steps": steps, "failures": failures}
    print_json("sync/1", fields)
