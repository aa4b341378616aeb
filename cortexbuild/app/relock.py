"""Find out what every name of a manifest stands for: sources' contents, tools' versions.

What the lock knows is taken from it, and only what is missing, local or to be upgraded is
looked at. So a change of the manifest pins what it adds, and moves nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.document import did_you_mean
from ..core.lock import FACTS, Lock, Pinned
from ..core.manifest import Manifest
from ..core.planning.resolve import tools_of
from ..core.planning.walk import LLAMA_CPP
from ..core.ports import Looks, Source, Toolbox
from ..core.recipe import Recipe
from ..core.roles import CALIBRATION, TOOLCHAIN
from ..core.step import ToolId
from ..errors import DriftError, ManifestError, UsageError

NOTHING = Lock({}, {})


@dataclass(frozen=True, slots=True)
class Pins:
    """How the lock is used: as it is (`frozen`), or brought up to date with the manifest.

    `upgrade` are models whose pins move, `*` is all of them. Without `may_ask` no remote is
    asked for what is not pinned.
    """

    frozen: bool = False
    may_ask: bool = True
    upgrade: tuple[str, ...] = ()
    upgrade_tools: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """How to look at sources: the one of a scheme, and what files under `root` were seen to be."""

    find: Callable[[str], Source]
    looks: Looks
    root: Path


def relock(
    known: Lock,
    manifest: Manifest,
    recipes: Mapping[str, Recipe],
    ask: Sources,
    toolbox: Toolbox,
    memory: int,
    pins: Pins,
) -> Lock:
    """The lock that this manifest needs: metadata and small files are read, never weights.

    Raises DriftError for what is not pinned when its remote may not be asked.
    """
    upgrade = origins_of(manifest, pins.upgrade)
    if "*" in pins.upgrade:
        upgrade |= {manifest.calibration.text}
    sources: dict[str, Pinned] = {}

    def pin(origin: str, where: str) -> None:
        try:
            sources[origin] = _pinned(known, origin, ask, origin in upgrade, pins)
        except UsageError as error:
            raise ManifestError(str(error), where=where, hint=error.hint) from error

    for origin, where in places(manifest).items():
        pin(origin, where)
    used = tools_of(manifest, recipes, sources, toolbox, memory=memory)
    wanted = {role for tool in used.values() for role in tool.wants}
    if CALIBRATION in wanted:
        pin(manifest.calibration.text, manifest.place("calibration"))
    if TOOLCHAIN in wanted:
        sources[LLAMA_CPP] = _pinned(known, LLAMA_CPP, ask, pins.upgrade_tools, pins)
    tools = {}
    for name, tool in used.items():
        had = None if pins.upgrade_tools else known.tools.get(name)
        tools[name] = had or ToolId(tool.name, tool.revision, dict(tool.engine()))
    targets = {name: target for name, _, target in manifest.targets()}
    outputs = {name: output for name, output in known.outputs.items() if name in targets}
    climbing = {
        n for n, target in targets.items() if target.escalate or target.recipe == "auto-int"
    }
    settled = {name: end for name, end in known.settled.items() if name in climbing}
    return Lock(sources, tools, outputs, settled)


def places(manifest: Manifest) -> dict[str, str]:
    """Every origin that a manifest names, with the place where it does so first."""
    found = {manifest.evaluation.text: manifest.place("evaluation")}
    for name, model in manifest.models.items():
        found.setdefault(model.source, manifest.place("models", name, "source"))
        for number, adapter in enumerate(model.adapters):
            at = ("models", name, "adapters", number)
            found.setdefault(adapter.source, manifest.place(*at))
    return found


def origins_of(manifest: Manifest, models: Sequence[str]) -> frozenset[str]:
    """The origins of some models, with their adapters; `*` is every origin."""
    if "*" in models:
        return frozenset(places(manifest))
    found = set[str]()
    for name in models:
        model = manifest.models.get(name)
        if model is None:
            known = list(manifest.models)
            near = did_you_mean(name, known, f"the models are {', '.join(known)}")
            raise UsageError(f"no model `{name}`", hint=near)
        found.update(model.origins())
    return frozenset(found)


def _pinned(known: Lock, origin: str, ask: Sources, again: bool, pins: Pins) -> Pinned:
    source, old = ask.find(origin), known.sources.get(origin)
    if old is not None and not again and not source.local:
        return old
    if old is None and not source.local and not pins.may_ask:
        raise DriftError(
            f"cortex.lock is not up to date with cortex.yaml: {origin} is not in it",
            hint="run `cortexbuild lock` and commit cortex.lock",
        )
    try:
        return pin_now(origin, ask)
    except UsageError:
        # What is not on this machine may still be built elsewhere, or here already.
        if old is not None and not again:
            return old
        raise


def pin_now(origin: str, ask: Sources) -> Pinned:
    """What an origin stands for now, as a lock has it."""
    found = ask.find(origin).pin(origin, ask.root, ask.looks)
    return replace(found, facts={name: found.facts.get(name) for name in FACTS})
