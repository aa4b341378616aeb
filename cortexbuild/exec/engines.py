"""Engines that are missing, or in another version than the lock has, and how to get those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..core.ports import Tool
from ..core.step import ToolId
from ..errors import ToolError
from ..version import VERSION

EXTRAS = {
    "mlx": "mlx", "mlx-lm": "mlx", "llama-cpp-python": "gguf", "gguf": "gguf", "torch": "torch",
    "torchao": "torch", "transformers": "torch", "safetensors": "torch", "tokenizers": "torch",
    "accelerate": "torch", "bitsandbytes": "torch",
}  # fmt: skip
"""By package. `mlx` and `gguf` bring torch and transformers along."""


def check_versions(locked: ToolId, tool: Tool) -> None:
    """A key names the versions that make its output, so no others may make it."""
    try:
        here = tool.engine()
    except ToolError as absent:  # the newest of it may not be what was locked
        raise ToolError(
            f"{absent}, and cortex.lock has {_said(locked.engine)}",
            hint=f"`{install(locked.engine)}`" if brings(locked.engine) else absent.hint,
        ) from absent
    if error := refusal(locked, tool.revision, here):
        raise error


def refusal(locked: ToolId, revision: int, here: Mapping[str, str]) -> ToolError | None:
    """Why a tool of that revision, which calls those versions, is not what was locked; with the
    ways out. None if it is."""
    others = {name: version for name, version in locked.engine.items() if here.get(name) != version}
    if others:
        names = " and ".join(f"{n} {here.get(n, 'none')} is here" for n in others)
        return ToolError(
            f"{names}, and cortex.lock has {_said(others)}",
            hint=f"`{install(others, locked.engine)}`, or take what is here: `cortexbuild lock "
            "--upgrade-tools`",
        )
    if (revision, set(here)) != (locked.revision, set(locked.engine)):
        return ToolError(
            f"this cortexbuild ({VERSION}) has revision {revision} of tool `{locked.name}`, "
            f"and cortex.lock has {locked.revision}",
            hint="install the cortexbuild that wrote cortex.lock, or take what is here: "
            "`cortexbuild lock --upgrade-tools`",
        )
    return None


def _said(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def install(versions: Mapping[str, str], beside: Iterable[str] = ()) -> str:
    """The command that installs these versions, with the extra for all else that is needed by a
    tool which calls them, and others `beside` them."""
    extras = ",".join(brings((*versions, *beside)))
    ours = [f"'cortexbuild[{extras}]'"] if extras else []
    return " ".join(["pip install", *ours, *(f"{n}=={version}" for n, version in versions.items())])


def brings(packages: Iterable[str]) -> list[str]:
    """The extras with which these packages come; none for those of other people's tools."""
    found = {EXTRAS[name] for name in packages if name in EXTRAS}
    return sorted(found - {"torch"} or found)
