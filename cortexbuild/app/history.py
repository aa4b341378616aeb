"""The traces that a target stands on, followed from its sources to its end."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..core.digest import Tree
from ..core.plan import Goal
from ..core.step import StepId, Trace, key_of
from ..redaction import without_logins
from .project import Project


def history(
    project: Project, goal: Goal, known: Mapping[StepId, Trace] = MappingProxyType({})
) -> Mapping[StepId, Trace]:
    """The trace of every step below a goal that has one, in plan order; `known` are not read again.

    A build follows traces only as far as it must; this follows all of them.
    """
    plan = project.plan
    trees: dict[StepId, Tree] = {}
    found: dict[StepId, Trace] = {}
    for id_ in plan.chain(goal.ends):
        if id_ in known:
            found[id_], trees[id_] = known[id_], known[id_].tree
            continue
        step = plan.steps[id_]
        if step.tree is not None:
            trees[id_] = step.tree
        read = {role: item.step for role, item in step.inputs.items() if item.reads}
        if not set(read.values()) <= trees.keys():
            continue
        inputs = {role: trees[below] for role, below in read.items()}
        ingredients = step.ingredients(inputs, project.manifest.cache.salt)
        key = key_of(ingredients)
        trace = project.store.trace(key, ingredients)
        if trace is None and step.tree is not None and project.store.has_tree(step.tree):
            origin = {"origin": without_logins(step.origin)}  # its files came with other sources'
            trace = Trace(key, ingredients, step.tree, step.label, origin)
        if trace is not None:
            found[id_], trees[id_] = trace, trace.tree
    return found
