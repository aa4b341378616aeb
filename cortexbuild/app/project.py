"""A manifest with everything found out about it that needs no weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from ..core.digest import Tree
from ..core.lock import Lock
from ..core.manifest import Manifest
from ..core.plan import Plan, Scope
from ..core.ports import Runtime, Shared, Store, Tool, Views
from ..core.recipe import Recipe
from ..core.scheduling.agenda import Agenda, Elsewhere
from ..core.step import Ingredients, Step, StepId, StepKey, Trace


@dataclass(frozen=True, slots=True)
class Project:
    """`last` has, by label, the key under which each step was last made for this project.

    `locked` is what cortex.lock says, and `lock` what the manifest needs, which may be more.
    Without a `shared` one, only this machine's store is asked. What is `at_hand` to those who run
    steps need not be here, but for targets.
    """

    root: Path
    manifest: Manifest
    recipes: Mapping[str, Recipe]
    lock: Lock
    locked: Lock | None
    plan: Plan
    store: Store
    views: Views
    find_runtime: Callable[[str], Runtime]
    find_step_tool: Callable[[Step], Tool]
    last: Mapping[str, StepKey]
    shared: Shared | None = None
    at_hand: Callable[[Tree], bool] = lambda _tree: False

    def agenda(self, scope: Scope) -> Agenda:
        return self.agenda_to(self.plan.ends(scope), self.plan.forced(scope))

    def agenda_to(self, ends: Iterable[StepId], forced: Set[StepId] = frozenset()) -> Agenda:
        return Agenda(
            self.plan,
            ends,
            self.find_trace,
            self.store.has_tree,
            elsewhere=self._elsewhere(),
            forced=forced,
            salt=self.manifest.cache.salt,
        )

    def _elsewhere(self) -> Elsewhere:
        if self.shared is None:
            return Elsewhere(at_hand=self.at_hand)
        return Elsewhere(self.shared.can_pull, self.at_hand)

    def find_trace(self, key: StepKey, ingredients: Ingredients) -> Trace | None:
        """What is recorded under a key: here, or by somebody who is trusted."""
        found = self.store.trace(key, ingredients)
        if found is None and self.shared is not None:
            return self.shared.trace(key, ingredients)
        return found
