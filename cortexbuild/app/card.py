"""A model card: what a target is, how it was made, how good it is, and from what.

The head is for the Hub, which reads it: https://huggingface.co/docs/hub/model-cards. Nothing in it
changes from one day to the next, so the same target always has the same card.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.digest import File
from ..core.judge import WORDS
from ..core.licences import UNKNOWN, licence_of
from ..core.plan import Goal
from ..core.step import Kind
from ..formats.cards import public_name
from .measured import all_measures, goal_that_counts, numbers
from .project import Project

LIBRARIES = {"gguf": "gguf", "mlx": "mlx"}
"""The Hub's word for what runs a format; transformers runs the others."""

_HUB = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)")
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def card(
    project: Project,
    target: str,
    goal: Goal,
    files: Mapping[str, File],
    provenance: Mapping[str, Any],
) -> str:
    model, _, name = target.partition(":")
    entry = project.manifest.models[model]
    licence = licence_of(project.lock, entry.source)
    parts = [
        _front(project, goal, entry.source, licence),
        f"# {model}, {name}\n",
        f"{_cell(shown(entry.source))} in {goal.format}, by the recipe `{goal.recipe}` of "
        f"cortexbuild. Licence: {_licence(licence)}.\n",
        *_section("Quality", _quality(project, target, goal)),
        *_section("Made by", _steps(provenance)),
        *_section("Made from", _sources(provenance)),
        *_section("Files", _files(files)),
        "`provenance.json` says the same for programs, as an in-toto statement.\n",
    ]
    return "\n".join(parts)


def _front(project: Project, goal: Goal, source: str, licence: str) -> str:
    """YAML; every value is written as JSON, which is YAML too."""
    head: dict[str, object] = {}
    if _LICENCE.fullmatch(licence) is None:
        head |= {"license": "other", "license_name": licence}
    elif licence != UNKNOWN:
        head["license"] = licence
    if base := _base(project, source):
        head["base_model"] = base
        kinds = {project.plan.steps[id_].kind for id_ in project.plan.chain((goal.model,))}
        adapted = any(m.source == source and m.adapters for m in project.manifest.models.values())
        if Kind.QUANTIZE in kinds:
            head["base_model_relation"] = "quantized"
        elif adapted:
            head["base_model_relation"] = "finetune"
    head["library_name"] = LIBRARIES.get(goal.format.partition("-")[0], "transformers")
    head["pipeline_tag"] = "text-generation"
    head["tags"] = ["cortexbuild", goal.recipe]
    rows = "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items())
    return f"---\n{rows}---\n"


def _base(project: Project, source: str) -> str:
    """The Hub's name of what a model was made from, where it has one."""
    if found := _HUB.match(source):
        return found["repo"]
    said = str(project.lock.sources[source].facts.get("base_model") or "")
    return said if re.fullmatch(r"[\w.-]+/[\w.-]+", said) else ""


def shown(origin: str) -> str:
    """An origin as others may see it: of a place on this machine, only the name."""
    scheme, _, place = origin.partition(":")
    return f"path:{public_name(place) or ''}" if scheme == "path" else origin


def _licence(licence: str) -> str:
    return "none is declared" if licence == UNKNOWN else f"{_cell(licence)}, as the source says"


def _quality(project: Project, target: str, goal: Goal) -> Iterator[Sequence[str]]:
    _, agenda = goal_that_counts(project, target)
    measured = numbers(all_measures(project, agenda, goal))
    limits = goal.limits.model_dump(exclude_none=True)
    rows = [
        (word, f"{measured[name]:.6g}", f"{limits[limit]:.6g}" if limit in limits else "")
        for limit, (name, word) in WORDS.items()
        if name in measured and name not in _OF_THIS_MACHINE
    ]
    if rows:
        yield "against the source", "measured", "limit"
        yield from rows


_OF_THIS_MACHINE = ("tokens_per_second", "memory_bytes")
"""What another machine would measure otherwise."""


def _steps(provenance: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    yield "step", "tool", "settings"
    for step in provenance["predicate"]["buildDefinition"]["internalParameters"]["steps"]:
        tool, settings = step["tool"], step["params"]
        engine = ", ".join(f"{name} {version}" for name, version in tool["engine"].items())
        said = [f"{name}: {json.dumps(value)}" for name, value in settings.items()]
        if step.get("code"):
            said.append("ran code that the model brings")
        yield (
            step["kind"],
            f"{tool['name']}" + (f" ({engine})" if engine else ""),
            ", ".join(said),
        )


def _sources(provenance: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    yield "source", "commit", "sha256 of its list of files", "licence"
    for source in provenance["predicate"]["buildDefinition"]["resolvedDependencies"]:
        digest = source["digest"]
        said = source["annotations"]["licence"] or ""
        yield shown(source["uri"]), digest.get("gitCommit", ""), digest["sha256"], said


def _files(files: Mapping[str, File]) -> Iterator[Sequence[str]]:
    yield "file", "bytes", "sha256"
    for path, file in files.items():
        yield path, str(file.size), file.digest


def _section(title: str, rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """A table under its title; nothing where it has no rows."""
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    if lines:
        lines.insert(1, "|" + " --- |" * (lines[0].count(" | ") + 1))
        yield f"## {title}\n\n" + "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Foreign text in one cell of a table: no markup of its own, one line."""
    return re.sub(r"([\\`|<>\[\]*_])", r"\\\1", " ".join(text.split()))
