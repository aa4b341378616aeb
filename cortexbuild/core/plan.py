"""From what the user wrote to the steps that make it. No I/O: same input, same plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TypeAlias

from ..errors import LockError, ManifestError, UsageError
from .digest import Plain
from .document import Path, did_you_mean, validate
from .lock import Lock, Pinned
from .manifest import Manifest, Recipe, RecipeStep, Target
from .ports import Tool
from .step import Input, Kind, Step, StepId, ToolId

FETCH = ToolId("fetch", 1)
FACTS, SOURCE, TEXT, MODEL = "facts", "source", "text", "model"

FindTool: TypeAlias = Callable[[str, Kind, str], Tool]
"""The tool of a name that does a kind of step to a format; raises ToolError."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a target needs: the step that makes it, the steps that measure it, its format."""

    model: StepId
    checks: tuple[StepId, ...]
    format: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in an order that can be built, and what each target needs of them."""

    steps: Mapping[StepId, Step]
    goals: Mapping[str, Goal]

    def chain(self, target: str) -> tuple[StepId, ...]:
        """All steps that a target stands on, in plan order."""
        goal = self.goals[target]
        found: set[StepId] = set()
        stack = [goal.model, *goal.checks]
        while stack:
            step = stack.pop()
            if step not in found:
                found.add(step)
                stack.extend(item.step for item in self.steps[step].inputs.values())
        return tuple(step for step in self.steps if step in found)

    def select(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """The targets that any pattern names; all of them when there is no pattern.

        A pattern is `model:target` with `*` and `?`; a bare `model` means all of its targets.
        """
        if not patterns:
            return tuple(self.goals)
        chosen: set[str] = set()
        for pattern in patterns:
            full = pattern if ":" in pattern else f"{pattern}:*"
            found = {name for name in self.goals if fnmatchcase(name, full)}
            if not found:
                near = did_you_mean(full, list(self.goals), "`cortexbuild list` shows them all")
                raise UsageError(f"no target `{pattern}`", hint=near)
            chosen |= found
        return tuple(name for name in self.goals if name in chosen)


def tool_name(tool: Tool) -> str:
    """The name under which the lock keeps a tool's version."""
    return f"{tool.name}/{tool.kind.value}/{tool.makes}"


def make_plan(
    manifest: Manifest, recipes: Mapping[str, Recipe], lock: Lock, find_tool: FindTool
) -> Plan:
    """Every step of every target; steps that targets share appear once."""
    draft = _Draft(manifest, recipes, lock, find_tool)
    for name, model, target in manifest.targets():
        draft.add(name, model.source, target)
    return draft.finished()


def tools_of(
    manifest: Manifest,
    recipes: Mapping[str, Recipe],
    formats: Mapping[str, str],
    find_tool: FindTool,
) -> Mapping[str, Tool]:
    """The tools that the manifest's targets go through, by the name the lock uses.

    `formats` has the format of each source, by origin.
    """
    found: dict[str, Tool] = {}
    for name, model, target in manifest.targets():
        format_ = formats[model.source]
        recipe = _recipe(manifest, recipes, name, target)
        tools = [find_tool("detect", Kind.DETECT, format_)]
        for tool, _, _ in _route(recipe, format_, manifest, name, find_tool):
            tools.append(tool)
        found.update((tool_name(tool), tool) for tool in tools)
    return found


@dataclass(slots=True)
class _Draft:
    manifest: Manifest
    recipes: Mapping[str, Recipe]
    lock: Lock
    find_tool: FindTool
    steps: dict[StepId, Step] = field(default_factory=dict)
    goals: dict[str, Goal] = field(default_factory=dict)
    users: dict[StepId, set[str]] = field(default_factory=dict)

    def add(self, name: str, origin: str, target: Target) -> None:
        recipe = _recipe(self.manifest, self.recipes, name, target)
        pinned = self._pinned(origin)
        model_name = name.partition(":")[0]
        source = self._fetch(pinned, f"{model_name}/fetch", name)
        detect = self.find_tool("detect", Kind.DETECT, pinned.format)
        facts = self._step(
            detect, {"format": pinned.format}, {MODEL: source}, pinned.format,
            f"{model_name}/detect", name,
        )  # fmt: skip
        roles = {SOURCE: source, FACTS: facts, MODEL: source}
        checks: list[StepId] = []
        format_ = pinned.format
        route = _route(recipe, pinned.format, self.manifest, name, self.find_tool)
        _check_settings(target, route, self.manifest, name)
        for tool, item, number in route:
            params = validate(tool.params, item.set, recipe.text, ("steps", number, "set"))
            given = {k: v for k, v in target.set.items() if k in tool.params.model_fields}
            if given:
                at: Path = (*_path_of(name), "set")
                params = validate(tool.params, {**item.set, **given}, self.manifest.text, at)
            if TEXT in tool.wants and TEXT not in roles:
                text = self._pinned(self.manifest.evaluation)
                roles[TEXT] = self._fetch(text, "evaluation/fetch", name)
            label = f"{name}/{tool.kind.value}"
            step = self._step(tool, params.plain(), roles, format_, label, name)
            if tool.kind is Kind.VALIDATE:
                checks.append(step)
            else:
                roles[MODEL], format_ = step, tool.makes
        self.goals[name] = Goal(roles[MODEL], tuple(checks), format_)

    def finished(self) -> Plan:
        """The plan, with steps that several targets share named after what they have in common."""
        steps = {}
        for id_, step in self.steps.items():
            users = self.users[id_]
            if len(users) > 1 and ":" in step.label:
                models = sorted({user.partition(":")[0] for user in users})
                step = replace(step, label=f"{'+'.join(models)}/{step.kind.value}")
            steps[id_] = step
        return Plan(steps, self.goals)

    def _pinned(self, origin: str) -> Pinned:
        pinned = self.lock.sources.get(origin)
        if pinned is None:
            raise LockError(f"`{origin}` is not pinned", hint="run `cortexbuild sync`")
        return pinned

    def _fetch(self, pinned: Pinned, label: str, user: str) -> StepId:
        # Named by what it yields, so a mirror or a moved folder is still a hit.
        return self._keep(
            Step(Kind.FETCH, FETCH, {}, {}, label, "", pinned.origin, pinned.tree), user
        )

    def _step(
        self, tool: Tool, params: Mapping[str, Plain], roles: Mapping[str, StepId],
        format_: str, label: str, user: str,
    ) -> StepId:  # fmt: skip
        # The lock, not this machine, says which version: a laptop without it can still hit.
        locked = self.lock.tools.get(tool_name(tool))
        if locked is None:
            raise LockError(f"tool `{tool.name}` is not pinned", hint="run `cortexbuild sync`")
        inputs = {MODEL: Input(roles[MODEL], tool.reads.get(MODEL, ("*",)))}
        for role in tool.wants:
            reads = () if role == FACTS else tool.reads.get(role, ("*",))
            inputs[role] = Input(roles[role], reads)
        return self._keep(Step(tool.kind, locked, params, inputs, label, format_), user)

    def _keep(self, step: Step, user: str) -> StepId:
        id_ = step.id
        self.steps.setdefault(id_, step)
        self.users.setdefault(id_, set()).add(user)
        return id_


def _path_of(name: str) -> Path:
    model, _, target = name.partition(":")
    return ("models", model, "targets", target)


def _recipe(manifest: Manifest, recipes: Mapping[str, Recipe], name: str, target: Target) -> Recipe:
    recipe = recipes.get(target.recipe)
    if recipe is None:
        raise ManifestError(
            f"no recipe `{target.recipe}`",
            where=manifest.place(*_path_of(name), "recipe"),
            hint=did_you_mean(target.recipe, list(recipes), "`recipes/` has the known ones"),
        )
    return recipe


RouteStep: TypeAlias = tuple[Tool, RecipeStep, int]


def _route(
    recipe: Recipe, format_: str, manifest: Manifest, name: str, find_tool: FindTool
) -> list[RouteStep]:
    """The tools of a recipe's steps, each for the format that the step before it makes."""
    route: list[RouteStep] = []
    for number, item in enumerate(recipe.steps):
        kind = Kind(item.do)
        try:
            tool = find_tool(item.tool, kind, format_)
        except UsageError as error:
            raise ManifestError(
                str(error), where=recipe.place("steps", number, "tool"), hint=error.hint
            ) from error
        if format_ not in tool.accepts:
            raise ManifestError(
                f"{name}: `{item.tool}` cannot {kind.value} {format_}, "
                f"only {' or '.join(tool.accepts)}",
                where=manifest.place(*_path_of(name)),
                hint="build from the full-precision weights that this model was made from",
            )
        route.append((tool, item, number))
        if kind is not Kind.VALIDATE:
            format_ = tool.makes
    return route


def _check_settings(
    target: Target, route: Iterable[RouteStep], manifest: Manifest, name: str
) -> None:
    known = sorted({key for tool, _, _ in route for key in tool.params.model_fields})
    for setting in target.set:
        if setting not in known:
            raise ManifestError(
                f"no step of recipe `{target.recipe}` has a setting `{setting}`",
                where=manifest.place(*_path_of(name), "set", setting),
                hint=did_you_mean(setting, known, f"it has {', '.join(known)}"),
            )
