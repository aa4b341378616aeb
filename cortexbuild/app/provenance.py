"""Where a built target comes from, as an in-toto statement with SLSA's provenance.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and
https://slsa.dev/spec/v1.0/provenance. It stands beside the view, and not in the model's files:
those stay, byte for byte, what the plain tools would have written.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..core.plan import Goal
from ..core.step import Kind, Step, StepId, Trace
from ..redaction import without_logins
from ..version import VERSION
from .history import history
from .measured import goal_that_counts
from .project import Project

BUILD_TYPE = "urn:cortexbuild:steps:1"
"""The meaning of `externalParameters`: steps as `cortexbuild plan --json` names them."""


def statement(
    project: Project,
    target: str,
    goal: Goal | None = None,
    known: Mapping[StepId, Trace] = MappingProxyType({}),
) -> Mapping[str, Any] | None:
    """What is known of how a target was made, on the way of a `goal` or of the one that counts;
    None when it is not built. Traces that are `known` are not read again."""
    goal = goal or goal_that_counts(project, target)[0]
    traces = history(project, goal, known)
    last = traces.get(goal.model)
    if last is None:
        return None
    subject = [{"name": f.path, "digest": {"sha256": f.digest}} for f in last.tree.files]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"target": target, "recipe": goal.recipe},
                "internalParameters": {"steps": _steps(project, goal, traces)},
                "resolvedDependencies": _sources(project, goal),
            },
            "runDetails": {
                "builder": {
                    "id": "urn:cortexbuild:cortexbuild",
                    "version": {"cortexbuild": last.made.get("cortexbuild", VERSION)},
                },
                "metadata": {"invocationId": last.key, "finishedOn": last.made.get("at", "")},
            },
        },
    }


def _steps(
    project: Project, goal: Goal, traces: Mapping[StepId, Trace]
) -> list[Mapping[str, object]]:
    return [
        _step(project, project.plan.steps[id_], traces.get(id_))
        for id_ in project.plan.chain((goal.model, *goal.checks))
        if project.plan.steps[id_].kind is not Kind.FETCH
    ]


def _step(project: Project, step: Step, trace: Trace | None) -> Mapping[str, object]:
    made = trace.made if trace is not None else {}
    return {
        "step": step.label,
        "kind": step.kind.value,
        "tool": step.tool.plain(),
        "params": dict(step.params),
        **({"code": True} if step.code else {}),
        "determinism": project.find_step_tool(step).determinism,
        "key": trace.key if trace is not None else None,
        "output": trace.tree.digest if trace is not None else None,
        "platform": made.get("platform"),
        "finishedOn": made.get("at"),
        "seconds": made.get("seconds"),
    }


def _sources(project: Project, goal: Goal) -> list[Mapping[str, object]]:
    found: list[Mapping[str, object]] = []
    for id_ in project.plan.chain((goal.model, *goal.checks)):
        step = project.plan.steps[id_]
        if step.kind is not Kind.FETCH or step.tree is None:
            continue
        pinned = project.lock.sources[step.origin]
        digest: dict[str, str] = {"sha256": step.tree.digest}
        if pinned.commit:
            digest["gitCommit"] = pinned.commit
        files = {file.path: file.digest for file in step.tree.files}
        notes = {"licence": pinned.facts.get("licence"), "files": files}
        found.append({"uri": without_logins(step.origin), "digest": digest, "annotations": notes})
    return found
