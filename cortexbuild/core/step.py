"""Steps, their keys and their traces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from .digest import Digest, Plain, Tree, digest_value

StepKey = NewType("StepKey", str)
"""Names all that may influence a step's output; 64 hex digits."""

StepId = NewType("StepId", str)
"""Names a step within a plan, before the contents of its inputs are known; 64 hex digits."""

Ingredients = Mapping[str, Plain]

KEY_SCHEMA = 1


class Kind(StrEnum):
    """What a step does. `measure` finds out about a source what other steps go by."""

    FETCH = "fetch"
    DETECT = "detect"
    CONVERT = "convert"
    MEASURE = "measure"
    QUANTIZE = "quantize"
    VALIDATE = "validate"


@dataclass(frozen=True, slots=True)
class ToolId:
    """What does the work, precisely enough that the same id means the same output.

    `revision` counts the changes of our own code that change what it makes; `engine` has the
    versions of the outside libraries, by name.
    """

    name: str
    revision: int
    engine: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> Mapping[str, Plain]:
        return {"name": self.name, "revision": self.revision, "engine": dict(self.engine)}


FETCH = ToolId("fetch", 1)


@dataclass(frozen=True, slots=True)
class Input:
    """Another step's output, and the patterns of the files that are read of it.

    With no patterns the step only has to succeed first: nothing of it enters the key.
    """

    step: StepId
    reads: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class Step:
    """One unit of work. Its inputs are other steps, by role.

    `format` is what the `model` input is, since one tool's name may stand for several edges.
    `tree` is set where the output is known beforehand, as it is for a pinned source; such a
    step runs only when somebody needs the bytes. With `code` it may run code that the model
    brings. `label`, `origin` and `commit` are for people and for finding bytes; they are never
    part of the key.
    """

    kind: Kind
    tool: ToolId
    params: Mapping[str, Plain]
    inputs: Mapping[str, Input]
    label: str
    format: str = ""
    origin: str = ""
    commit: str = ""
    tree: Tree | None = None
    code: bool = False

    @property
    def spec(self) -> Mapping[str, Plain]:
        """The ingredients but for the inputs' contents."""
        code = {"code": True} if self.code else {}
        return {
            **code,
            "schema": KEY_SCHEMA,
            "kind": self.kind.value,
            "tool": self.tool.plain(),
            "format": self.format,
            "params": dict(self.params),
        }

    def reads(self) -> list[StepId]:
        """The steps whose bytes it reads."""
        return [item.step for item in self.inputs.values() if item.reads]

    @property
    def id(self) -> StepId:
        inputs: dict[str, Plain] = {
            role: [item.step, list(item.reads)] for role, item in self.inputs.items()
        }
        expected = self.tree.digest if self.tree is not None else None
        return StepId(digest_value("step-id.v1", [dict(self.spec), inputs, expected]))

    def ingredients(self, trees: Mapping[str, Tree], salt: str = "") -> Ingredients:
        """All that decides the output: what the key hashes and what `why` prints.

        `trees` has the output of each input, by role.
        """
        read: dict[str, Plain] = {
            role: dict(trees[role].project(item.reads))
            for role, item in self.inputs.items()
            if item.reads
        }
        known = {"tree": dict(self.tree.project(("*",)))} if self.tree is not None else {}
        return {**self.spec, **known, "inputs": read, "salt": salt}


def key_of(ingredients: Ingredients) -> StepKey:
    return StepKey(digest_value("step.v1", ingredients))


INPUTS = ("tree", "inputs", "salt")
"""The ingredients that are no part of a step's `spec`."""


def spec_digest(spec: Mapping[str, Plain]) -> Digest:
    """Names a kind of work whatever it is done to: without a trace of it, a step must run."""
    return digest_value("spec.v1", spec)


@dataclass(frozen=True, slots=True)
class Trace:
    """What a step made, and from what. Written once, after its files, and never changed.

    `made` says where and how for people (seconds, platform, time, of a fetch its origin); it
    decides nothing of what is built.
    `signatures` are of those who vouch for it, by the names of their keys, in base64: a trace
    made here needs none, one from elsewhere is worth what they are (`remotes/signing.py`).
    """

    key: StepKey
    ingredients: Ingredients
    tree: Tree
    label: str
    made: Mapping[str, str]
    signatures: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float | None:
        """How long it took, if it tells: whoever made it may have written anything."""
        try:
            told = float(self.made["seconds"])
        except (KeyError, ValueError):
            return None
        return told if 0 <= told < math.inf else None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step did not succeed. `log` is the path of what it printed, or empty; `code` is the
    exit code that the error would end a command with."""

    message: str
    hint: str = ""
    log: str = ""
    code: int = 1


@dataclass(frozen=True, slots=True)
class Difference:
    """One ingredient that is not what it was: `at` are the keys to it, absent values are None."""

    at: tuple[str, ...]
    old: Plain
    new: Plain

    def __str__(self) -> str:
        return f"{'.'.join(self.at)}: {_shown(self.old)} -> {_shown(self.new)}"


def explain(now: Plain, before: Plain, at: tuple[str, ...] = ()) -> Iterator[Difference]:
    """The differences between two sets of ingredients, deepest first named."""
    if isinstance(now, Mapping) and isinstance(before, Mapping):
        for name in sorted({*now, *before}):
            yield from explain(now.get(name), before.get(name), (*at, name))
    elif now != before:
        yield Difference(at, before, now)


def _shown(value: Plain) -> str:
    if value is None:
        return "nothing"
    text = str(value)
    is_digest = len(text) == 64 and all(c in "0123456789abcdef" for c in text)
    return text[:12] if is_digest else text
