"""Whether code that a model brings may be run, and whether a target can be built as that is."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import ManifestError
from ..lock import Lock, Pinned
from ..manifest import Manifest
from ..ports import Tool


def check_allowed(manifest: Manifest, lock: Lock) -> frozenset[str]:
    """The models whose own code the manifest allows to be run. Raises ManifestError for one that
    brings none: the permission would wait for code that nobody has seen."""
    allowed = [name for name, model in manifest.models.items() if model.allow_code]
    for name in allowed:
        origin = manifest.models[name].source
        pinned = lock.sources.get(origin)
        if pinned is not None and not pinned.code.files:
            raise ManifestError(
                f"{name}: {origin} brings no code that `allow_code` could be for",
                where=manifest.place("models", name, "allow_code"),
                hint="leave `allow_code` out; if cortex.lock is older than it, `cortexbuild lock "
                f"--upgrade {name}` looks again",
            )
    return frozenset(allowed)


def check_needed(manifest: Manifest, name: str, pinned: Pinned, tools: Iterable[Tool]) -> None:
    """Raises ManifestError where a target's tools cannot do without code that may not run."""
    model = name.partition(":")[0]
    architecture = str(pinned.facts.get("architecture") or "")
    allowed = manifest.models[model].allow_code
    for tool in tools if pinned.code.files else ():
        if tool.knows(architecture) or (allowed and tool.runs_code):
            continue
        files = ", ".join(file.path for file in pinned.code.files)
        if tool.runs_code:
            raise ManifestError(
                f"{name}: `{architecture}` is an architecture of the model's own, in code that it "
                f"brings ({files}), and that is not run",
                where=manifest.place("models", model),
                hint="read that code; `allow_code: true` under the model (`add --allow-code`) has "
                "it run as you, with all that you may do, by the steps that load the model",
            )
        raise ManifestError(
            f"{name}: tool `{tool.name}` cannot build `{architecture}` without code that the model "
            f"brings ({files}), and runs none",
            where=manifest.place("models", model),
            hint="recipes `int8`, `int4` and `safetensors` do, with `allow_code: true` (`add "
            "--allow-code`); or take a publication of the model that needs no code",
        )
