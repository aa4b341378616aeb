"""The sources of a report, with their licences, and where the store's bytes are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...core.digest import Digest, File, Plain
from ...core.licences import licence_of
from ...core.plan import Goal
from ...core.step import Kind, StepId
from ...redaction import without_logins
from ..project import Project
from .steps import Node


@dataclass(frozen=True, slots=True)
class SourceView:
    """A pinned source. `targets` stand on it; `here` is whether its bytes are stored."""

    origin: str
    commit: str | None
    digest: str
    size: int
    licence: str
    base_model: str | None
    facts: Mapping[str, Plain]
    files: Sequence[File]
    targets: Sequence[str]
    here: bool


@dataclass(frozen=True, slots=True)
class Bytes:
    """What the store holds, each file counted once: as part of a target if it is that, else of a
    source, else as an intermediate. `others` belong to other projects, or to nothing any more."""

    total: int
    targets: int
    sources: int
    intermediates: int
    others: int


def sources(project: Project, steps: Sequence[Node]) -> list[SourceView]:
    found: dict[str, SourceView] = {}
    for node in steps:
        step = project.plan.steps[node.id]
        pinned = project.lock.sources.get(step.origin)
        if step.kind is not Kind.FETCH or pinned is None or step.origin in found:
            continue
        tree = step.tree or pinned.tree
        if tree == pinned.notices:
            continue  # of which no target is made
        base = pinned.facts.get("base_model")
        found[step.origin] = SourceView(
            origin=without_logins(step.origin),
            commit=pinned.commit or None,
            digest=tree.digest,
            size=tree.size,
            licence=licence_of(project.lock, step.origin),
            base_model=str(base) if base else None,
            facts=dict(pinned.facts),
            files=list(tree.files),
            targets=node.targets,
            here=node.here,
        )
    return list(found.values())


def stored_bytes(
    project: Project, steps: Sequence[Node], goals: Iterable[Goal], shown: Iterable[Sequence[File]]
) -> Bytes:
    """`shown` are the files of each target as its view shows it, up to date or not."""
    ends: set[StepId] = {goal.model for goal in goals}
    classes: dict[Digest, str] = {file.digest: "targets" for files in shown for file in files}
    rows: list[tuple[str, Sequence[File]]] = []
    for node in steps:
        fetched = node.kind == Kind.FETCH.value
        what = "targets" if node.id in ends else "sources" if fetched else "intermediates"
        rows.append((what, _files(project, node)))
    for what in ("targets", "sources", "intermediates"):
        for _, files in (row for row in rows if row[0] == what):
            for file in files:
                classes.setdefault(file.digest, what)
    sums = dict.fromkeys(("targets", "sources", "intermediates", "others"), 0)
    for digest in project.store.blobs():
        try:
            size = project.store.blob(digest).stat().st_size
        except OSError:  # taken away while we look
            continue
        sums[classes.get(digest, "others")] += size
    return Bytes(total=sum(sums.values()), **sums)


def _files(project: Project, node: Node) -> Sequence[File]:
    step = project.plan.steps[node.id]
    if step.tree is not None:
        return step.tree.files
    trace = project.store.read_trace(node.key) if node.key else None
    return trace.tree.files if trace else ()
