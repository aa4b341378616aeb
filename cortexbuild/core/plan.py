"""Steps, and what each target needs of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ..errors import UsageError
from .digest import Digest
from .document import did_you_mean
from .limits import Limits
from .step import Kind, Step, StepId


@dataclass(frozen=True, slots=True)
class Goal:
    """What a target needs: the step that makes it, the steps that measure it, its format.

    `note` says what a person should know of the way it is made. If it fails, or `limits` are not
    kept to, `otherwise` is made instead; `ladder` then names all of these ways together.
    `notices` bring the texts of the licences that it stands under.
    """

    model: StepId
    checks: tuple[StepId, ...]
    format: str
    recipe: str
    note: str = ""
    limits: Limits = field(default_factory=Limits)
    otherwise: Goal | None = None
    ladder: Digest | None = None
    notices: tuple[StepId, ...] = ()

    @property
    def ends(self) -> tuple[StepId, ...]:
        """All that must be there for it to be up to date."""
        return (self.model, *self.checks, *self.notices)

    def rungs(self) -> Iterator[Goal]:
        """This goal, and what is made instead, in turn."""
        goal: Goal | None = self
        while goal is not None:
            yield goal
            goal = goal.otherwise


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a plan that a command is about: targets, and up to which kind of step.

    Steps that `force` names (a label, its last part or a kind, with `*` and `?`) run even when
    they are fresh. With a `rung` it is about what the targets' goals come to after so many
    that were no good.
    """

    targets: tuple[str, ...]
    until: Kind | None = None
    force: str = ""
    rung: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in an order that can be built, and what each target needs of them."""

    steps: Mapping[StepId, Step]
    goals: Mapping[str, Goal]
    _places: Mapping[StepId, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places = {id_: place for place, id_ in enumerate(self.steps)}
        object.__setattr__(self, "_places", places)  # as a frozen one is given what it derives

    def chain(self, ends: Iterable[StepId]) -> tuple[StepId, ...]:
        """These steps and all that they stand on, in plan order."""
        found: set[StepId] = set()
        stack = list(ends)
        while stack:
            step = stack.pop()
            if step not in found:
                found.add(step)
                stack.extend(item.step for item in self.steps[step].inputs.values())
        return tuple(sorted(found, key=self._places.__getitem__))

    def ends(self, scope: Scope) -> tuple[StepId, ...]:
        """What a build of that scope must have made when it is over."""
        ways = [tuple(self.goals[target].rungs()) for target in scope.targets]
        goals = [goals[min(scope.rung, len(goals) - 1)] for goals in ways]
        last = [step for goal in goals for step in goal.ends]
        if scope.until is None:
            return tuple(last)
        kinds = list(Kind)
        early = [
            id_
            for id_ in self.chain(last)
            if kinds.index(self.steps[id_].kind) <= kinds.index(scope.until)
        ]
        needed = {item.step for id_ in early for item in self.steps[id_].inputs.values()}
        return tuple(id_ for id_ in early if id_ not in needed)

    def scope(self, patterns: Sequence[str], until: Kind | None, force: str) -> Scope:
        """What a person asks for. A word after `--force` that names no step but targets is one
        of `patterns`: `sync --force m:t` means `sync m:t --force`."""
        steps = self.steps.values()
        if force and not any(_is_called(step, force) for step in steps) and self._named(force):
            patterns, force = [*patterns, force], "*"
        return Scope(self.select(patterns), until, force)

    def forced(self, scope: Scope) -> frozenset[StepId]:
        """The steps of a scope that run whether or not they are fresh."""
        if not scope.force:
            return frozenset()
        found, labels = set(), []
        for id_ in self.chain(self.ends(scope)):
            step = self.steps[id_]
            labels.append(step.label)
            if _is_called(step, scope.force):
                found.add(id_)
        if not found:
            known = [*labels, *scope.targets]
            near = did_you_mean(scope.force, known, f"they are {', '.join(labels)}")
            raise UsageError(f"no step `{scope.force}` in what is to be built", hint=near)
        return frozenset(found)

    def select(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """The targets that any pattern names; all of them when there is no pattern.

        A pattern is `model:target` with `*` and `?`; a bare `model` means all of its targets.
        """
        if not patterns:
            return tuple(self.goals)
        chosen: set[str] = set()
        for pattern in patterns:
            found = self._named(pattern)
            if not found:
                near = did_you_mean(
                    _full(pattern), list(self.goals), "`cortexbuild list` shows them all"
                )
                raise UsageError(f"no target `{pattern}`", hint=near)
            chosen |= found
        return tuple(name for name in self.goals if name in chosen)

    def select_one(self, pattern: str) -> str:
        """The target that a pattern names. Raises UsageError where it names several."""
        names = self.select([pattern])
        if len(names) > 1:
            raise UsageError(
                f"`{pattern}` names {len(names)} targets", hint=f"name one: {', '.join(names)}"
            )
        return names[0]

    def _named(self, pattern: str) -> set[str]:
        return {name for name in self.goals if fnmatchcase(name, _full(pattern))}


def _full(pattern: str) -> str:
    return pattern if ":" in pattern else f"{pattern}:*"


def _is_called(step: Step, pattern: str) -> bool:
    names = (step.label, step.label.rpartition("/")[2], step.kind.value)
    return any(fnmatchcase(name, pattern) for name in names)
