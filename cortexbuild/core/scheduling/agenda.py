"""Which steps must run, found out as results come in. Pure: it is told, and it asks.

A step's key needs its inputs' contents, and an input that must run first has none yet. So the
agenda works from the goals back: it follows traces as far as they reach, says which steps are
ready to run, and looks again at a step when one of its inputs is done. `sync` runs what is
ready; `plan` looks at the same agenda and runs nothing, so the two cannot disagree.

For every step that is wanted, in this order (`_look`):

1. The trees of the inputs that it reads are known, or those inputs are wanted too.
2. Then its key is known. With a trace, and its bytes here if they are wanted: done.
3. With bytes that are wanted and can be pulled from a remote, it is ready to be pulled.
4. Otherwise it must run: the bytes of what it reads are wanted, and the success of the rest.
5. When they are here it is ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..digest import Tree
from ..plan import Goal, Plan
from ..step import Ingredients, Step, StepId, StepKey, Trace, key_of

FindTrace: TypeAlias = Callable[[StepKey, Ingredients], Trace | None]
IsHere: TypeAlias = Callable[[Tree], bool]
CanPull: TypeAlias = Callable[[Step, Tree], bool]
State: TypeAlias = Literal["fresh", "remote", "will-run", "may-run", "unneeded"]


@dataclass(frozen=True, slots=True)
class Ready:
    """A step that may start now, with all that it needs known. One with a `pull` is not run:
    its output is that tree, and is brought from a remote."""

    id: StepId
    step: Step
    key: StepKey
    ingredients: Ingredients
    inputs: dict[str, Tree]
    pull: Tree | None = None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What is known of bytes that are not here: whether they can be pulled; and whether they are
    at hand to those who read them, so that they need not be here, but for those of a build's ends.
    """

    can_pull: CanPull = lambda _step, _tree: False
    at_hand: IsHere = lambda _tree: False


NOWHERE = Elsewhere()


class Agenda:
    """The state of one build that makes `ends`.

    `find_trace` looks a key up; `is_here` tells of a tree's bytes, and `elsewhere` of others.
    What is `forced` runs whether or not it has a trace.
    """

    def __init__(
        self,
        plan: Plan,
        ends: Iterable[StepId],
        find_trace: FindTrace,
        is_here: IsHere,
        *,
        elsewhere: Elsewhere = NOWHERE,
        forced: Set[StepId] = frozenset(),
        salt: str = "",
    ) -> None:
        self.plan = plan
        self.traces: dict[StepId, Trace] = {}
        self.keys: dict[StepId, StepKey] = {}
        self._find, self._is_here = find_trace, is_here
        self._can_pull, self._at_hand = elsewhere.can_pull, elsewhere.at_hand
        self._forced, self._salt = forced, salt
        self._trees: dict[StepId, Tree] = {}  # that were found; others are pinned
        self._wanted: dict[StepId, bool] = {}  # and whether its bytes are wanted
        self._waiters: dict[StepId, set[StepId]] = {}
        self._must: set[StepId] = set()  # known to have to run
        self._pulls: set[StepId] = set()  # whose bytes are brought
        self._unpulled: set[StepId] = set()  # whose bytes could not be
        self._started: set[StepId] = set()
        self._outdated: set[StepId] = set()  # started with what an input is not any more
        self._done: dict[StepId, bool] = {}  # and whether with bytes
        self._ran: set[StepId] = set()
        self._failed: set[StepId] = set()
        self._lost: set[StepId] = set()  # made, and then not there
        self._ready: dict[StepId, Ready] = {}
        self._new: dict[StepId, Ready] = {}  # of these, since somebody last asked
        self._gone: set[StepId] = set()  # ready when somebody last asked, and now not
        self._changed: set[StepId] = set()  # of outputs, since somebody last asked
        self._read_by: dict[StepId, list[StepId]] | None = None  # once somebody asks
        in_order = [id_ for id_ in plan.steps if id_ in forced] if forced else []
        self._ends = dict.fromkeys(ends)
        for id_ in (*self._ends, *in_order):
            self._want(id_, bytes_=True)

    def news(self) -> tuple[Sequence[Ready], Set[StepId]]:
        """Since this was last asked: the steps that came to be ready, in that order, and those that
        are so no more without having started; some of these may be ready anew."""
        news = tuple(self._new.values()), self._gone
        self._new, self._gone = {}, set()
        return news

    def start(self, id_: StepId) -> None:
        """A step that is ready counts as started."""
        del self._ready[id_]
        self._new.pop(id_, None)
        self._started.add(id_)

    def finish(self, id_: StepId, trace: Trace) -> None:
        """A started step succeeded; what waited for it is looked at again."""
        if id_ not in self._pulls:
            self._ran.add(id_)
        self._must.discard(id_)
        if self._end(id_):
            self._look_and_want(id_)
            return
        self.keys[id_] = trace.key
        before = self.tree(id_)
        # A file of it may have gone while it was made, as a part of what was let go then.
        if id_ not in self._lost and not self._has(id_, trace.tree):
            self._lost.add(id_)
            self._trees[id_] = trace.tree
            self._look_and_want(id_)
        else:
            self._settle(id_, trace, here=True)
        if before is not None and before != trace.tree:
            self._look_again_after(id_)

    def build_instead(self, id_: StepId) -> None:
        """A started step could not be pulled; it is to run then, with all that it needs."""
        self._end(id_)
        self._unpulled.add(id_)
        self._look_and_want(id_)

    def fail(self, id_: StepId) -> None:
        """A step failed, or cannot start; nothing that needs it will become ready."""
        self._end(id_)
        self._withdraw(id_)
        self._failed.add(id_)

    def state(self, id_: StepId) -> State:
        """What is known of a step now. `may-run` depends on what its inputs turn out to be."""
        if id_ in self._pulls:
            return "remote"
        if id_ in self._must or id_ in self._ready or id_ in self._started:
            return "will-run"
        if id_ in self._done or id_ in self.traces or self.plan.steps[id_].tree is not None:
            return "fresh" if id_ in self._wanted else "unneeded"
        return "may-run" if id_ in self._wanted else "unneeded"

    def unfinished(self) -> tuple[StepId, ...]:
        """Steps that were wanted and did not come to be done, in plan order."""
        return tuple(
            id_
            for id_ in self.plan.steps
            if id_ in self._wanted and id_ not in self._done and id_ not in self._failed
        )

    def is_done(self, goal: Goal) -> bool:
        return all(self._done.get(id_) for id_ in goal.ends)

    def needs(self, id_: StepId) -> bool:
        """Whether this build is for the bytes of a step, or will read them yet. Of what failed the
        inputs are needed too: it will be tried again, by another build."""
        stack, seen = [id_], {id_}
        while stack:
            step = stack.pop()
            if step in self._ends:
                return True
            for reader in self._readers()[step]:
                if reader in self._wanted and reader not in self._done:
                    return True
                if reader in self._wanted and not self._done[reader] and reader not in seen:
                    seen.add(reader)  # done, and without its bytes
                    stack.append(reader)
        return False

    def changes(self) -> Set[StepId]:
        """Steps whose output came to be known, or to be here, since this was last asked."""
        changed, self._changed = self._changed, set()
        return changed

    def has_bytes(self, id_: StepId) -> bool:
        return bool(self._done.get(id_))

    def look_at_bytes(self, id_: StepId) -> None:
        """The bytes of a step that is done, and that nothing needs, may be here no more."""
        tree = self.tree(id_)
        if tree is not None and self._done.get(id_) and not self._has(id_, tree):
            self._done[id_] = self._wanted[id_] = False

    def _readers(self) -> Mapping[StepId, Sequence[StepId]]:
        """By step, those that read its bytes."""
        if self._read_by is None:
            self._read_by = {id_: [] for id_ in self.plan.steps}
            for id_, step in self.plan.steps.items():
                for before in step.reads():
                    self._read_by[before].append(id_)
        return self._read_by

    def has_run(self, id_: StepId) -> bool:
        return id_ in self._ran

    def tree(self, id_: StepId) -> Tree | None:
        """A step's output, as far as it is known."""
        return self._trees.get(id_) or self.plan.steps[id_].tree

    def _want(self, id_: StepId, *, bytes_: bool) -> None:
        # A stack of our own: chains may be longer than Python's.
        stack = [(id_, bytes_)]
        while stack:
            step, with_bytes = stack.pop()
            known = self._wanted.get(step)
            if known is None or (with_bytes and not known):
                self._wanted[step] = with_bytes
                stack += self._look(step)

    def _look_and_want(self, id_: StepId) -> None:
        for item, bytes_ in self._look(id_):
            self._want(item, bytes_=bytes_)

    def _look(self, id_: StepId) -> list[tuple[StepId, bool]]:
        """One look at a wanted step (see the module's text); gives what it wants in turn."""
        step = self.plan.steps[id_]
        if id_ in self._started or id_ in self._ready or id_ in self._failed:
            return []
        if id_ in self._done and (self._done[id_] or not self._wanted[id_]):
            return []
        outputs = {role: self.tree(i.step) for role, i in step.inputs.items() if i.reads}
        trees = {role: tree for role, tree in outputs.items() if tree is not None}
        if len(trees) < len(outputs):
            unknown = [step.inputs[role].step for role in outputs if role not in trees]
            return self._wait(id_, [(item, False) for item in unknown])

        ingredients = step.ingredients(trees, self._salt)
        key = self.keys[id_] = key_of(ingredients)
        if self._find_done(id_, key, ingredients):
            return []

        self._must.add(id_)
        missing = [
            (item.step, bool(item.reads))
            for item in step.inputs.values()
            if not (self._done.get(item.step) if item.reads else item.step in self._done)
        ]
        if missing:
            return self._wait(id_, missing)
        inputs = {role: tree.select(step.inputs[role].reads) for role, tree in trees.items()}
        self._offer(Ready(id_, step, key, ingredients, inputs))
        return []

    def _find_done(self, id_: StepId, key: StepKey, ingredients: Ingredients) -> bool:
        if id_ in self._forced:  # and not yet run: then it is never looked at again
            return False
        tree, trace = self.tree(id_), self._find(key, ingredients)
        if tree is None and trace is None:
            return False
        if trace is not None:
            self.traces[id_] = trace
            tree = self._trees[id_] = trace.tree
        assert tree is not None, "a step is known by its trace or by its pinned tree"
        self._changed.add(id_)
        here = self._has(id_, tree)
        if self._wanted[id_] and not here:
            step = self.plan.steps[id_]
            if id_ in self._unpulled or not self._can_pull(step, tree):
                return False
            self._pulls.add(id_)
            self._offer(Ready(id_, step, key, ingredients, {}, tree))
            return True
        self._done[id_] = here
        self._wake(id_)
        return True

    def _has(self, id_: StepId, tree: Tree) -> bool:
        """Whether the bytes of a step are where they are wanted."""
        return self._is_here(tree) or (id_ not in self._ends and self._at_hand(tree))

    def _offer(self, ready: Ready) -> None:
        self._ready[ready.id] = self._new[ready.id] = ready

    def _withdraw(self, id_: StepId) -> None:
        if self._ready.pop(id_, None) is not None and self._new.pop(id_, None) is None:
            self._gone.add(id_)

    def _end(self, id_: StepId) -> bool:
        """A started step came to an end; says whether it is one for inputs that changed since."""
        outdated = id_ in self._outdated
        for group in (self._started, self._pulls, self._outdated):
            group.discard(id_)
        return outdated

    def _settle(self, id_: StepId, trace: Trace, *, here: bool) -> None:
        self.traces[id_] = trace
        self._trees[id_] = trace.tree
        self._done[id_] = here
        self._changed.add(id_)
        self._wake(id_)

    def _look_again_after(self, id_: StepId) -> None:
        """Something was made anew and came out differently: what followed from the old output,
        by traces alone, does not follow any more."""
        stale = {id_}
        for other, step in self.plan.steps.items():  # in plan order: inputs come first
            if other in self._failed or other not in self._wanted:
                continue
            if any(item.reads and item.step in stale for item in step.inputs.values()):
                stale.add(other)
                self._done.pop(other, None)
                if other in self._started:
                    self._outdated.add(other)
                else:
                    self._withdraw(other)
                    self._pulls.discard(other)
                self.traces.pop(other, None)
                self._trees.pop(other, None)
        for other in self.plan.steps:
            if other in stale and other != id_:
                self._look_and_want(other)

    def _wait(self, id_: StepId, wants: list[tuple[StepId, bool]]) -> list[tuple[StepId, bool]]:
        for item, _ in wants:
            self._waiters.setdefault(item, set()).add(id_)
        return wants

    def _wake(self, id_: StepId) -> None:
        order = list(self._waiters.pop(id_, ()))
        order.sort(key=lambda item: self.plan.steps[item].label)
        for waiter in order:
            self._look_and_want(waiter)
