"""A plan while it is made: steps that several targets share are kept once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ...errors import LockError
from ..digest import Plain, Tree
from ..licences import made_from
from ..lock import Lock, Pinned
from ..manifest import Model
from ..plan import Goal, Plan
from ..ports import Tool
from ..roles import ADAPTERS, FACTS, MODEL
from ..step import FETCH, Input, Kind, Step, StepId
from .resolve import tool_name


@dataclass(slots=True)
class Draft:
    """Steps, goals, and by which targets each step is used; and the steps that bring the `notices`
    of each model. `with_code` are the models whose own code may be run."""

    lock: Lock
    with_code: frozenset[str] = frozenset()
    steps: dict[StepId, Step] = field(default_factory=dict)
    goals: dict[str, Goal] = field(default_factory=dict)
    users: dict[StepId, set[str]] = field(default_factory=dict)
    notices: dict[str, tuple[StepId, ...]] = field(default_factory=dict)

    def pinned(self, origin: str) -> Pinned:
        pinned = self.lock.sources.get(origin)
        if pinned is None:
            raise LockError(f"`{origin}` is not pinned", hint="run `cortexbuild sync`")
        return pinned

    def fetch(self, origin: str, label: str, user: str) -> StepId:
        # Named by what it yields, so a mirror or a moved folder is still a hit.
        pinned = self.pinned(origin)
        tree = pinned.whole if self._allows_code(user) else pinned.tree
        return self._fetch(pinned, tree, label, user)

    def fetch_notices(self, name: str, model: Model) -> tuple[StepId, ...]:
        """The texts of all licences that a model stands under, once for its targets. Apart from
        its files: no step reads them, so none runs again when they change, and a machine that
        gets results needs these of their sources and nothing else."""
        if name not in self.notices:
            pins = [self.pinned(origin) for origin in made_from(self.lock, model)]
            found: list[StepId] = []
            for pinned in pins:
                if pinned.notices.files:
                    label = f"{name}/fetch-licence" + (f"-{len(found)}" if found else "")
                    found.append(self._fetch(pinned, pinned.notices, label, name))
            self.notices[name] = tuple(dict.fromkeys(found))
        return self.notices[name]

    def _fetch(self, pinned: Pinned, tree: Tree, label: str, user: str) -> StepId:
        return self._keep(
            Step(
                Kind.FETCH, FETCH, {}, {}, label,
                origin=pinned.origin, commit=pinned.commit, tree=tree,
            ),
            user,
        )  # fmt: skip

    def step(
        self, tool: Tool, params: Mapping[str, Plain], roles: Mapping[str, StepId],
        format_: str, label: str, user: str,
    ) -> StepId:  # fmt: skip
        """A step of a tool, with those of the roles that it wants."""
        # The lock, not this machine, says which version: a laptop without it can still hit.
        locked = self.lock.tools.get(tool_name(tool))
        if locked is None:
            raise LockError(f"tool `{tool.name}` is not pinned", hint="run `cortexbuild sync`")
        wanted = [role for role in tool.wants if role != ADAPTERS]
        if ADAPTERS in tool.wants:
            wanted += [role for role in roles if is_adapter(role)]
        inputs = {MODEL: Input(roles[MODEL], tool.reads.get(MODEL, ("*",)))}
        for role in wanted:
            reads = () if role == FACTS else tool.reads.get(role, ("*",))
            inputs[role] = Input(roles[role], reads)
        code = tool.runs_code and self._allows_code(user)
        return self._keep(Step(tool.kind, locked, params, inputs, label, format_, code=code), user)

    def _allows_code(self, user: str) -> bool:
        return user.partition(":")[0] in self.with_code

    def finished(self) -> Plan:
        """The plan, with steps that several targets share named after what they have in common,
        and each by a name of its own."""
        whole = Plan(self.steps, self.goals)
        ends = [id_ for goal in self.goals.values() for rung in goal.rungs() for id_ in rung.ends]
        kept = {id_: self.steps[id_] for id_ in whole.chain(ends)}
        labels = {}
        for id_, step in kept.items():
            users, label = self.users[id_], step.label
            if len(users) > 1 and ":" in label:
                models = sorted({user.partition(":")[0] for user in users})
                label = f"{'+'.join(models)}/{label.rpartition('/')[2]}"
            labels[id_] = label
        ways: tuple[Callable[[Step], str], ...] = (lambda s: s.tool.name, lambda s: s.id[:6])
        for tell in ways:
            counts = Counter(labels.values())
            for id_, step in kept.items():
                if counts[labels[id_]] > 1:
                    labels[id_] += f"-{tell(step)}"
        steps = {id_: replace(step, label=labels[id_]) for id_, step in kept.items()}
        return Plan(steps, self.goals)

    def _keep(self, step: Step, user: str) -> StepId:
        id_ = step.id
        known = self.steps.setdefault(id_, step)
        again = user in self.users.get(id_, ()) and ":" in step.label
        if again and known.label != step.label:
            # Several ways to one target share it: it is named after none of them.
            about, _, what = step.label.rpartition("/")
            self.steps[id_] = replace(known, label=f"{about}/{what.rpartition('-')[2]}")
        self.users.setdefault(id_, set()).add(user)
        return id_


def is_adapter(role: str) -> bool:
    return role.startswith("adapter") and role != ADAPTERS
