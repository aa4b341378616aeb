"""What is handed out of a target: its files, its card, where it comes from, and its licence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.digest import File, Tree, digest_bytes
from ..core.licences import UNKNOWN, licence_of, made_from
from ..core.naming import name_of, unlike
from ..core.plan import Goal
from ..errors import BuildFailed, IntegrityError, ToolError
from .card import card, shown
from .generate import Built, find_built
from .measured import goal_that_counts, problems_of
from .project import Project
from .provenance import statement

Beside = Callable[[str], Mapping[str, bytes]]
"""The texts of a licence that lie beside the weights of a source on this machine."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A target that may be handed out. `files` are by the names they have outside; `notes` say what
    does not go along."""

    target: str
    goal: Goal
    built: Built
    files: Mapping[str, File]
    texts: Mapping[str, bytes]
    notes: Sequence[str] = ()


def ready(project: Project, pattern: str, beside: Beside) -> Ready:
    """The one target that `pattern` names, built as cortex.yaml says and good enough.

    Raises ToolError when it is not up to date, BuildFailed when it is judged not good enough now,
    IntegrityError when its bytes are damaged.
    """
    built = find_built(project, pattern)
    target = built.target
    if built.stale:
        raise ToolError(f"{target} is not up to date", hint=f"run `cortexbuild sync {target}`")
    goal, agenda = goal_that_counts(project, target)
    problems = problems_of(project, agenda, goal)
    if problems:
        raise BuildFailed({target: "; ".join(problems)}, hint="; ".join(problems))
    files = _named(target, built.tree)
    found = statement(project, target, goal)
    assert found is not None, "a target that is up to date has its traces"
    provenance = _public(found, files)
    texts = {
        "README.md": card(project, target, goal, files, provenance).encode(),
        "provenance.json": (json.dumps(provenance, indent=1) + "\n").encode(),
    }
    notices, notes = _notices(project, target, beside)
    return Ready(target, goal, built, files, {**texts, **notices}, notes)


def _notices(
    project: Project, target: str, beside: Beside
) -> tuple[Mapping[str, bytes], Sequence[str]]:
    """The texts of every licence that a target stands under, each once; and a note of each that
    has none. Where a name is taken by another text, the source is in it."""
    found: dict[str, bytes] = {}
    notes = []
    for origin in made_from(project.lock, project.manifest.models[target.partition(":")[0]]):
        pinned = project.lock.sources[origin].notices
        here = {file.path: _content(project, target, file) for file in pinned.files}
        texts = {**beside(origin), **here}
        for name, text in texts.items():
            if text not in found.values():
                found[_free_name(name, name_of(origin), found)] = text
        if not texts and (licence := licence_of(project.lock, origin)) != UNKNOWN:
            notes.append(f"{shown(origin)} is under `{licence}`, and has no text of it to go along")
    return found, notes


def _free_name(name: str, of: str, taken: Mapping[str, bytes]) -> str:
    if name.casefold() not in {one.casefold() for one in taken}:
        return name
    path = Path(name)
    return unlike(f"{path.stem}-{of}", {Path(one).stem for one in taken}) + path.suffix


def _content(project: Project, target: str, file: File) -> bytes:
    """What goes out under our name is read, and not only looked at."""
    content = project.store.blob(file.digest).read_bytes()
    if digest_bytes(content) != file.digest:
        project.store.set_aside(file.digest)
        raise IntegrityError(
            f"`{file.path}` of {target} was damaged in the store",
            hint=f"run `cortexbuild sync {target}`",
        )
    return content


def _public(found: Mapping[str, Any], files: Mapping[str, File]) -> Mapping[str, Any]:
    """A statement as it goes out: with the names that files have there, and no paths of ours."""
    outside = deepcopy(dict(found))
    outside["subject"] = [
        {"name": path, "digest": {"sha256": file.digest}} for path, file in files.items()
    ]
    for source in outside["predicate"]["buildDefinition"]["resolvedDependencies"]:
        source["uri"] = shown(source["uri"])
    return outside


def source_file(project: Project, target: str, name: str) -> bytes | None:
    """A small file of the source that a target is made from, if its bytes are here."""
    pinned = project.lock.sources[project.manifest.models[target.partition(":")[0]].source]
    file = pinned.tree.find(name)
    if file is None or not project.store.has_tree(Tree((file,))):
        return None
    return project.store.blob(file.digest).read_bytes()


def _named(target: str, tree: Tree) -> Mapping[str, File]:
    """Files by the names they have outside: a model in one file has the name of its target, since
    programs show that of the file."""
    if len(tree.files) == 1:
        file = tree.files[0]
        return {f"{target.replace(':', '-')}{Path(file.path).suffix}": file}
    return {file.path: file for file in tree.files}
