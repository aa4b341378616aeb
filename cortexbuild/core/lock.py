"""Every name in the manifest, pinned: sources to content, tools to versions.

A lock holds resolutions and no results of builds, so building never changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .digest import Digest, Plain, Tree
from .step import StepKey, ToolId

FACTS = (
    "format", "quantization", "method", "parameters", "architecture", "experts", "licence",
    "base_model",
)  # fmt: skip
"""What a plan and a policy may depend on, of all that detection finds (`formats/facts.py`)."""


NO_FILES = Tree(())


@dataclass(frozen=True, slots=True)
class Pinned:
    """A source as it was when locked: what its bytes are, before a byte is brought here.

    `facts` are what detection found in its headers, as plain values, and only those of FACTS.
    `commit` is the revision that the source has for these bytes, where it has such a thing. `code`
    are files of Python that the model asks to be run: they are fetched only where the manifest
    allows that. `notices` are the texts of its licence: no step reads them, and they go wherever
    the model is handed out.
    """

    origin: str
    tree: Tree
    facts: Mapping[str, Plain]
    commit: str = ""
    code: Tree = NO_FILES
    notices: Tree = NO_FILES

    @property
    def whole(self) -> Tree:
        return Tree.of((*self.tree.files, *self.code.files)) if self.code.files else self.tree

    @property
    def listed(self) -> Tree:
        """Every file that the lock lists of it."""
        more = self.notices.files
        return Tree.of((*self.whole.files, *more)) if more else self.whole


@dataclass(frozen=True, slots=True)
class Output:
    """A target's bytes, recorded to be reproduced: what the step of that `key` must make."""

    key: StepKey
    tree: Digest


@dataclass(frozen=True, slots=True)
class Settled:
    """Where the search for a good enough recipe ended.

    `ladder` names the recipes, all that they are built from, and the limits; with another the
    search begins anew. `tried` has the recipes before this one, and what was wrong with each.
    """

    ladder: Digest
    recipe: str
    tried: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Lock:
    """`sources` by origin as the manifest writes it, `tools` by the name `tool_name` gives,
    `outputs` and `settled` by target."""

    sources: Mapping[str, Pinned]
    tools: Mapping[str, ToolId]
    outputs: Mapping[str, Output] = field(default_factory=dict)
    settled: Mapping[str, Settled] = field(default_factory=dict)
