"""Several remotes in their order: records looked up in each, and weighed.

A remote is asked until something is wrong with it; that is said once, and from then on it is as
if it were empty. What is there and not believed is a miss, too, but a counted one with a reason:
a team whose signatures are not trusted would otherwise build for hours and not know why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from ..core.address import Address
from ..core.digest import Tree
from ..core.remote import Remote
from ..core.step import Ingredients, Kind, Step, StepKey, Trace
from ..errors import IntegrityError, RemoteError
from ..store.blobs import Blobs
from ..store.traces import trace_from_text
from . import repairs
from .signing import is_signed
from .traces import read_text
from .transfer import persist

NOBODY = "unsigned"
"""Stands among the signatures of a record that was believed for its folder's sake alone."""

T = TypeVar("T")


@dataclass(slots=True)
class Tier:
    """One remote, opened when it is first asked: a sync that has nothing to do imports no client.
    `trouble` is why it is not asked any more."""

    address: Address
    open: Callable[[], Remote]
    trouble: str = ""
    opened: Remote | None = None

    def remote(self) -> Remote:
        if self.opened is None:
            self.opened = self.open()
        return self.opened


@dataclass(slots=True)
class Tally:
    """What the remotes came to in one command. `ignored` counts records that were there and not
    believed, by the reason."""

    hits: int = 0
    misses: int = 0
    ignored: Counter[str] = field(default_factory=Counter)


class Tiers:
    """`trusted` gives public keys by name. What becomes known of a step is told to `found`, and
    what is wrong with a remote to `warn`; where they are `required`, it is raised."""

    def __init__(
        self,
        tiers: Sequence[Tier],
        trusted: Callable[[], Mapping[str, bytes]],
        blobs: Blobs,
        warn: Callable[[str], None],
        found: Callable[[Trace], None] = lambda _: None,
        *,
        required: bool = False,
    ) -> None:
        self.tiers, self.tally = tiers, Tally()
        self._trusted, self._blobs, self._warn, self._found = trusted, blobs, warn, found
        self._required = required
        self._traces: dict[StepKey, Trace | None] = {}
        self._sizes: dict[tuple[str, str], int | None] = {}

    def usable(self) -> list[Tier]:
        return [tier for tier in self.tiers if not tier.trouble]

    def addresses(self) -> tuple[Address, ...]:
        return tuple(tier.address for tier in self.usable())

    def trace(self, key: StepKey, ingredients: Ingredients) -> Trace | None:
        if key not in self._traces:
            found = self._traces[key] = self._look_up(key)
            if found is None:
                self.tally.misses += 1
            else:
                self.tally.hits += 1
                self._found(found)
        found = self._traces[key]
        # The key is a hash of them; that two have one key is not to be expected, and not assumed.
        return found if found is not None and found.ingredients == ingredients else None

    def can_pull(self, step: Step, tree: Tree) -> bool:
        if step.kind is Kind.FETCH and step.origin.startswith("path:"):
            return False  # it lies here already, and a copy costs less
        left = {str(f.digest): f.size for f in tree.files if not self._blobs.has_blob(f)}
        for tier in self.usable():
            sizes = self._sizes_of(tier, list(left))
            for name, size in sizes.items():
                if size == left[name]:
                    del left[name]
                else:
                    self._refuse_size(tier, name, size, left[name])
        return not left

    def ask(self, tier: Tier, question: Callable[[], T]) -> T | None:
        """Ask one remote something; None when it is, or was, in trouble."""
        if tier.trouble:
            return None
        try:
            return persist(question)
        except RemoteError as error:
            if self._required:
                raise
            tier.trouble = str(error)
            self._warn(f"{tier.address.name} is not asked any more: {error}")
            return None

    def _look_up(self, key: StepKey) -> Trace | None:
        for tier in self.usable():
            text = self.ask(tier, partial(_read, tier, key))
            if text is None:
                continue
            found, why = weigh(text, key, self._trusted(), unsigned=tier.address.unsigned)
            if found is not None:
                if not tier.address.unsigned or is_signed(found, self._trusted()):
                    return found
                # Nobody vouches for it, so it is not ours to sign when it is sent elsewhere.
                return replace(found, signatures={**found.signatures, NOBODY: ""})
            self.tally.ignored[f"{tier.address.name}: {why}"] += 1
            if why.startswith("damaged"):
                repairs.note_wrong(self._blobs.index, tier.address, "ac", key)
        return None

    def _sizes_of(self, tier: Tier, names: Sequence[str]) -> Mapping[str, int]:
        unknown = [name for name in names if (tier.address.name, name) not in self._sizes]
        if unknown:
            sizes = self.ask(tier, lambda: tier.remote().sizes("cas", unknown)) or {}
            for name in unknown:
                self._sizes[tier.address.name, name] = sizes.get(name)
        known = {name: self._sizes.get((tier.address.name, name)) for name in names}
        return {name: size for name, size in known.items() if size is not None}

    def _refuse_size(self, tier: Tier, name: str, size: int, expected: int) -> None:
        why = f"{tier.address.name}: cas/{name} has {size} bytes and should have {expected}"
        if not self.tally.ignored[why]:
            self.tally.ignored[why] = 1
            repairs.note_wrong(self._blobs.index, tier.address, "cas", name)


def _read(tier: Tier, key: StepKey) -> str | None:
    return read_text(tier.remote(), key)


def weigh(
    text: str, key: StepKey, trusted: Mapping[str, bytes], *, unsigned: bool
) -> tuple[Trace | None, str]:
    """The record that a remote has under a key, if it is to be believed; else why it is not."""
    try:
        trace = trace_from_text(text)
    except (ValueError, IntegrityError) as error:
        return None, f"damaged, {error}"
    if trace.key != key:
        return None, f"damaged, the record of another key ({trace.key[:12]})"
    if unsigned or is_signed(trace, trusted):
        return trace, ""
    names = sorted(trace.signatures)
    if not names:
        return None, "not signed"
    if wrong := [name for name in names if name in trusted]:
        return None, f"wrongly signed by {', '.join(wrong)}"
    return None, f"signed by {', '.join(names)}, which is not trusted"
