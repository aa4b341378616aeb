"""From what the user wrote to the steps that make it. No I/O: same input, same plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..digest import Plain, digest_value
from ..licences import check_licences
from ..lock import Lock, Pinned
from ..manifest import Manifest, Model, Target
from ..plan import Goal, Plan
from ..ports import Toolbox
from ..recipe import Recipe
from .bridges import planned_format
from .candidates import Candidate, candidates, limits_of
from .codeallowed import check_allowed
from .draft import Draft
from .resolve import recipe_of, route_of
from .walk import Walk


def make_plan(
    manifest: Manifest,
    recipes: Mapping[str, Recipe],
    lock: Lock,
    toolbox: Toolbox,
    *,
    memory: int = 0,
) -> Plan:
    """Every step of every target; steps that targets share appear once.

    `memory` is this machine's, in bytes, for recipes that choose by it.
    """
    check_licences(manifest, lock)
    with_code = check_allowed(manifest, lock)
    planner = _Planner(manifest, recipes, toolbox, memory, Draft(lock, with_code))
    for name, model, target in manifest.targets():
        planner.add(name, model, target)
    return planner.draft.finished()


@dataclass(frozen=True, slots=True)
class _Planner:
    manifest: Manifest
    recipes: Mapping[str, Recipe]
    toolbox: Toolbox
    memory: int
    draft: Draft

    def add(self, name: str, model: Model, target: Target) -> None:
        """A target's steps; those of what it may come to instead are there too, not yet wanted."""
        pinned = self.draft.pinned(model.source)
        goals = []
        found = candidates(self.manifest, name, target, pinned, self.memory)
        for number, candidate in enumerate(found):
            prefix = f"{candidate.target.recipe}-" if number or target.escalate else ""
            goals.append(self._goal(name, model, candidate, prefix))
        self.draft.goals[name] = _chained(goals, self.draft.lock, name)
        if model.allow_code:
            self.draft.goals[name] = self._told(self.draft.goals[name], pinned)

    def _told(self, goal: Goal, pinned: Pinned) -> Goal:
        """With a note of the code that is run for it."""
        steps = self.draft.steps
        chain = Plan(steps, {}).chain((goal.model, *goal.checks))
        if not any(steps[id_].code for id_ in chain):
            return goal
        files = ", ".join(file.path for file in pinned.code.files)
        said = f"runs code that the model brings ({files})"
        return replace(goal, note="; ".join(filter(None, (goal.note, said))))

    def _goal(self, name: str, model: Model, candidate: Candidate, prefix: str) -> Goal:
        pinned, target = self.draft.pinned(model.source), candidate.target
        facts = pinned.facts
        recipe = recipe_of(self.manifest, self.recipes, name, target)
        route = route_of(self.manifest, self.recipes, name, target, pinned, self.toolbox)
        walk = Walk(self.draft, self.manifest, self.toolbox, name, model)
        walk.begin(planned_format(facts), facts["format"])
        checks = walk.along(route, target, recipe, f"{name}/{prefix}")
        made, format_ = walk.places[-1]
        note = "; ".join(text for text in (candidate.why, route.note) if text)
        limits = limits_of(self.manifest, target)
        return Goal(
            made, tuple(checks), _family(format_), target.recipe, note, limits,
            notices=self.draft.fetch_notices(name.partition(":")[0], model),
        )  # fmt: skip


def _chained(goals: Sequence[Goal], lock: Lock, name: str) -> Goal:
    """The first of several goals, the others behind it; or the one of which the lock says that
    it was good, if it was found among the same."""
    if len(goals) == 1:
        return goals[0]
    ways: list[Plain] = [[goal.model, *goal.checks] for goal in goals]
    ladder = digest_value("ladder.v1", [ways, goals[0].limits.plain()])
    known = lock.settled.get(name)
    for goal in goals:
        if known is not None and (known.ladder, known.recipe) == (ladder, goal.recipe):
            tried = [f"{recipe} was no good: {wrong}" for recipe, wrong in known.tried.items()]
            return replace(goal, note="; ".join([f"settled on {goal.recipe}", *tried]))
    first = goals[-1]
    for goal in reversed(goals[:-1]):
        first = replace(goal, otherwise=first)
    return replace(first, ladder=ladder)


def _family(format_: str) -> str:
    """What runs it and where it is shown: `mlx-4bit` is `mlx`."""
    family = format_.partition("-")[0]
    return family if family in ("mlx", "gguf") else format_
