"""What is handed out of a target: its files, its card, where it comes from, and its licence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.digest import File, Tree
from ..core.plan import Goal
from ..errors import BuildFailed, ToolError
from .card import card, shown
from .generate import Built, find_built
from .measured import goal_that_counts, problems_of
from .project import Project
from .provenance import statement

Beside = Callable[[str, str], bytes | None]
"""A file that lies beside the weights of a source, by its origin and its name."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A target that may be handed out. `files` are by the names they have outside."""

    target: str
    goal: Goal
    built: Built
    files: Mapping[str, File]
    texts: Mapping[str, bytes]


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
    source = project.manifest.models[target.partition(":")[0]].source
    for name in ("LICENSE", "NOTICE"):
        if (text := beside(source, name)) is not None:
            texts[name] = text
    return Ready(target, goal, built, files, texts)


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
