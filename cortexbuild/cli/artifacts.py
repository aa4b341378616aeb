"""Artifacts of the store, and what a collection takes of them, as people and programs read them."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.eviction import Artifact, Rank
from . import words
from .collecting import Collection

WHY = {
    Rank.UNUSED: "no record names it",
    Rank.INTERMEDIATE: "made on the way to a target",
    Rank.OLD_TARGET: "no project has it any more",
    Rank.OLD_SOURCE: "no project pins it any more, and it can be fetched again",
    Rank.ONLY_COPY: "a source that cannot be fetched again",
    Rank.NEW: "written within the last hour",
    Rank.FINDING: "measured for a target, and small",
    Rank.SOURCE: "a cortex.lock pins it, and it can be fetched again",
    Rank.SPARED: "what some project pins is not known",
    Rank.TARGET: "a project's target",
}


def row_of(one: Artifact) -> tuple[str, ...]:
    state = "here" if not one.missing else "partly dropped" if one.files else "dropped"
    used = words.day(one.used) if one.files else "-"
    return one.rank.word, words.size(one.size + one.missing), used, state, one.kind, one.label


def plain_artifact(one: Artifact) -> Mapping[str, object]:
    return {
        "name": one.name,
        "label": one.label,
        "kind": one.kind,
        "class": one.rank.word,
        "size": one.size + one.missing,
        "here": one.size,
        "seconds": one.seconds,
        "used": words.day(one.used) if one.files else None,
    }


def print_collection(plan: Collection, kept: Mapping[Rank, int], gone: str) -> None:
    choice = plan.choice
    for one in choice.gone:
        artifact = one.artifact
        print(f"{gone}  {words.size(one.size):>10}  {artifact.rank.word}  {artifact.label}")
    for root, views in plan.look.expired.items():
        named = f", and {', '.join(views)}" if views else ""
        print(f"{gone}  project {root.project}, last seen {root.seen}{named}")
    if plan.debris:
        rest = words.size(sum(plan.debris.values()))
        print(f"{gone}  {rest:>10}  {words.count(len(plan.debris), 'left-over')}")
    if plan.traces:
        print(f"{gone}  {words.count(len(plan.traces), 'record')} older than a year")
    for rank, size in kept.items():
        print(f"stays  {words.size(size):>10}  {rank.word}: {WHY[rank]}")
    for note in plan.look.notes:
        print(f"note: {note}")
    print(f"{words.size(choice.before)} -> {words.size(choice.after)}{_elsewhere(plan)}")


def _elsewhere(plan: Collection) -> str:
    files = plan.look.seen.files
    size = sum(files[digest].size for digest in plan.files() if files[digest].elsewhere)
    return (
        f"; {words.size(size)} of it have names outside the store, and stay there" if size else ""
    )


def plain_collection(plan: Collection, kept: Mapping[Rank, int]) -> Mapping[str, object]:
    expired = [
        {"project": str(root.project), "seen": root.seen.isoformat(), "views": list(views)}
        for root, views in plan.look.expired.items()
    ]
    return {
        "before": plan.choice.before,
        "after": plan.choice.after,
        "gone": [{**plain_artifact(one.artifact), "freed": one.size} for one in plan.choice.gone],
        "kept": {rank.word: {"bytes": size, "why": WHY[rank]} for rank, size in kept.items()},
        "expired": expired,
        "debris": sum(plan.debris.values()),
        "traces": list(plan.traces),
        "notes": list(plan.look.notes),
    }
