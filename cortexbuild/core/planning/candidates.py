"""What to build a target by: what its recipe stands for, and what to try instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import ManifestError, UsageError
from ..digest import Tree
from ..document import Path
from ..limits import Limits
from ..lock import Pinned
from ..manifest import Manifest, Target
from .policy import choose_integer, choose_mlx

BUDGETED = "mlx-fit"
"""What `auto` stands for where a target has a budget."""

WEIGHT_FILES = (".safetensors", ".bin", ".pth", ".gguf", ".npz")


def weight_bytes(tree: Tree) -> int:
    """Of the files of a model that are its weights."""
    return sum(file.size for file in tree.files if file.path.endswith(WEIGHT_FILES))


def path_of(name: str) -> Path:
    model, _, target = name.partition(":")
    return ("models", model, "targets", target)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target with the recipe that it is to be built by, and `why` that one."""

    target: Target
    why: str = ""


def candidates(
    manifest: Manifest, name: str, target: Target, pinned: Pinned, memory: int
) -> Sequence[Candidate]:
    """What `auto`, `auto-int` or a ladder stands for: what to build, and what instead if that is
    no good."""
    if target.escalate:
        return _rungs(manifest, name, target)
    if target.fit is not None:
        recipe = BUDGETED if target.recipe in ("", "auto") else target.recipe
        settings = {**target.fit.model_dump(exclude_none=True), **target.set}
        return [Candidate(target.model_copy(update={"recipe": recipe, "set": settings}))]
    if target.recipe not in ("auto", "auto-int"):
        return [Candidate(target)]
    counted = pinned.facts.get("parameters")
    parameters = counted if isinstance(counted, int) else None
    policy = manifest.policy
    try:
        if target.recipe == "auto":
            model = name.partition(":")[0]
            choice = choose_mlx(parameters, model, policy.quantization, None, policy.optimization)
        else:
            available = manifest.resources.memory or memory
            weights = weight_bytes(pinned.tree)
            choice = choose_integer(weights, available, parameters, policy.auto_quantize)
    except UsageError as error:
        where = manifest.place(*path_of(name))
        raise ManifestError(f"{name}: {error}", where=where, hint=error.hint) from error
    why = f"{target.recipe} chose {choice.recipe}: {choice.reason}"
    found = [Candidate(target.model_copy(update={"recipe": choice.recipe}), why)]
    if choice.rule == "int4":  # as Cortex does
        instead = target.model_copy(update={"recipe": "int8"})
        found.append(Candidate(instead, f"{target.recipe} fell back to int8: int4 was no good"))
    return found


def limits_of(manifest: Manifest, target: Target) -> Limits:
    """A target's limits, and those for all where it has none of its own."""
    return target.limits.over(manifest.limits)


def _rungs(manifest: Manifest, name: str, target: Target) -> Sequence[Candidate]:
    if limits_of(manifest, target) == Limits():
        raise ManifestError(
            f"{name}: `escalate:` needs limits, and there are none",
            where=manifest.place(*path_of(name), "escalate"),
            hint="say when a model is good enough, such as `validate: {max_kl: 0.02}`",
        )
    names = ", then ".join(target.escalate)
    return [
        Candidate(target.model_copy(update={"recipe": recipe}), f"tries {names}")
        for recipe in target.escalate
    ]
