"""From what the user wrote to the steps that make it. No I/O: same input, same plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ..errors import LockError
from .digest import Plain, plain_number
from .document import Path, validate
from .licences import check_licences
from .lock import Lock, Pinned
from .manifest import Manifest, Model, Recipe, Target
from .params import Params
from .plan import Goal, Plan
from .ports import Tool, Toolbox
from .resolve import Candidate, candidates, path_of, recipe_of, route_of, tool_name
from .routes import Leg, planned_format
from .step import FETCH, Input, Kind, Step, StepId

FACTS, SOURCE, TEXT, MODEL, TOOLCHAIN = "facts", "source", "text", "model", "toolchain"
LLAMA_CPP = "toolchain:llama.cpp"


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
    draft = _Draft(manifest, recipes, lock, toolbox, memory)
    for name, model, target in manifest.targets():
        draft.add(name, model, target)
    return draft.finished()


@dataclass(slots=True)
class _Draft:
    manifest: Manifest
    recipes: Mapping[str, Recipe]
    lock: Lock
    toolbox: Toolbox
    memory: int
    steps: dict[StepId, Step] = field(default_factory=dict)
    goals: dict[str, Goal] = field(default_factory=dict)
    users: dict[StepId, set[str]] = field(default_factory=dict)

    def add(self, name: str, model: Model, target: Target) -> None:
        """A target's steps; those of what it may fall back to are there too, and not yet wanted."""
        found = candidates(self.manifest, name, target, self._pinned(model.source), self.memory)
        prefixes = ["", *(f"{candidate.target.recipe}-" for candidate in found[1:])]
        goals = [self._goal(name, model, *each) for each in zip(found, prefixes, strict=True)]
        goal = goals.pop()
        while goals:
            goal = replace(goals.pop(), otherwise=goal)
        self.goals[name] = goal

    def _goal(self, name: str, model: Model, candidate: Candidate, prefix: str) -> Goal:
        pinned, origin, target = self._pinned(model.source), model.source, candidate.target
        format_ = planned_format(pinned.facts)
        route = route_of(self.manifest, self.recipes, name, target, pinned.facts, self.toolbox)
        model_name = name.partition(":")[0]
        source = self._fetch(origin, f"{model_name}/fetch", name)
        roles = {SOURCE: source, MODEL: source}
        for number, adapter in enumerate(model.adapters):
            label = f"{model_name}/fetch-adapter-{number}"
            roles[f"adapter{number}"] = self._fetch(adapter.source, label, name)
        detect = self.toolbox.find("detect", Kind.DETECT, format_)
        found = {"format": pinned.facts["format"]}
        roles[FACTS] = self._step(detect, found, roles, format_, f"{model_name}/detect", name)
        checks: list[StepId] = []
        for leg in route.legs:
            tool = leg.tool
            if TEXT in tool.wants and TEXT not in roles:
                roles[TEXT] = self._fetch(self.manifest.evaluation, "evaluation/fetch", name)
            if TOOLCHAIN in tool.wants and TOOLCHAIN not in roles:
                roles[TOOLCHAIN] = self._fetch(LLAMA_CPP, "llama.cpp/fetch", name)
            params = self._params(leg, name, target)
            if tool.name == "lora":
                weights = [plain_number(adapter.weight) for adapter in model.adapters]
                params = tool.params.from_plain({"weights": weights})
            what = tool.kind.value if leg.number is not None else tool.name
            label = f"{name}/{prefix}{what}"
            step = self._step(tool, params.plain(), roles, format_, label, name)
            if tool.kind is Kind.VALIDATE:
                checks.append(step)
                continue
            roles[MODEL], format_ = step, tool.makes
            if leg.number is None and format_ == "safetensors":
                roles[SOURCE] = step  # what all that follows is compared with
        note = "; ".join(text for text in (candidate.why, route.note) if text)
        return Goal(roles[MODEL], tuple(checks), _family(format_), note)

    def finished(self) -> Plan:
        """The plan, with steps that several targets share named after what they have in common,
        and each by a name of its own."""
        labels = {}
        for id_, step in self.steps.items():
            users, label = self.users[id_], step.label
            if len(users) > 1 and ":" in label:
                models = sorted({user.partition(":")[0] for user in users})
                label = f"{'+'.join(models)}/{label.rpartition('/')[2]}"
            labels[id_] = label
        ways: tuple[Callable[[Step], str], ...] = (lambda s: s.tool.name, lambda s: s.id[:6])
        for tell in ways:
            counts = Counter(labels.values())
            for id_, step in self.steps.items():
                if counts[labels[id_]] > 1:
                    labels[id_] += f"-{tell(step)}"
        steps = {id_: replace(step, label=labels[id_]) for id_, step in self.steps.items()}
        return Plan(steps, self.goals)

    def _params(self, leg: Leg, name: str, target: Target) -> Params:
        recipe = recipe_of(self.manifest, self.recipes, name, target)
        where: Path = () if leg.number is None else ("steps", leg.number, "set")
        params: Params = validate(leg.tool.params, leg.settings, recipe.text, where)
        given = {k: v for k, v in target.set.items() if k in leg.tool.params.model_fields}
        if given and leg.number is not None:
            at: Path = (*path_of(name), "set")
            params = validate(leg.tool.params, {**leg.settings, **given}, self.manifest.text, at)
        return params

    def _pinned(self, origin: str) -> Pinned:
        pinned = self.lock.sources.get(origin)
        if pinned is None:
            raise LockError(f"`{origin}` is not pinned", hint="run `cortexbuild sync`")
        return pinned

    def _fetch(self, origin: str, label: str, user: str) -> StepId:
        # Named by what it yields, so a mirror or a moved folder is still a hit.
        pinned = self._pinned(origin)
        step = Step(
            Kind.FETCH, FETCH, {}, {}, label, origin=origin, commit=pinned.commit, tree=pinned.tree
        )
        return self._keep(step, user)

    def _step(
        self, tool: Tool, params: Mapping[str, Plain], roles: Mapping[str, StepId],
        format_: str, label: str, user: str,
    ) -> StepId:  # fmt: skip
        # The lock, not this machine, says which version: a laptop without it can still hit.
        locked = self.lock.tools.get(tool_name(tool))
        if locked is None:
            raise LockError(f"tool `{tool.name}` is not pinned", hint="run `cortexbuild sync`")
        inputs = {MODEL: Input(roles[MODEL], tool.reads.get(MODEL, ("*",)))}
        extra = [role for role in roles if role.startswith("adapter") and tool.name == "lora"]
        for role in (*tool.wants, *extra):
            reads = () if role == FACTS else tool.reads.get(role, ("*",))
            inputs[role] = Input(roles[role], reads)
        return self._keep(Step(tool.kind, locked, params, inputs, label, format_), user)

    def _keep(self, step: Step, user: str) -> StepId:
        id_ = step.id
        self.steps.setdefault(id_, step)
        self.users.setdefault(id_, set()).add(user)
        return id_


def _family(format_: str) -> str:
    """What runs it and where it is shown: `mlx-4bit` is `mlx`."""
    family = format_.partition("-")[0]
    return family if family in ("mlx", "gguf") else format_
