"""What a worker has for steps to run with, and what it lacks for one."""

from __future__ import annotations

import platform
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...core.needs import GIB, Capacity, Needs
from ...core.planning.bridges import takes
from ...core.step import Kind, Step
from ...errors import ToolError
from ...processes import ask
from ...tools import every_tool
from ...version import VERSION
from ..engines import refusal

ENGINES = ("mlx", "llama_cpp", "torch")


@dataclass(frozen=True, slots=True)
class ToolHere:
    """A tool as a worker has it: the versions of what it calls, or why it cannot be used."""

    name: str
    kind: str
    accepts: tuple[str, ...]
    revision: int
    engine: Mapping[str, str] = field(default_factory=dict)
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """`beacon` is a file of its store and what stands in it (`beacon.py`), `machine` is another
    after every start of the machine, and `abilities` are for people."""

    name: str
    cortexbuild: str
    python: str
    dask: str
    system: str
    machine: str
    store: str
    beacon: tuple[str, str]
    room: Capacity
    abilities: tuple[str, ...]
    tools: tuple[ToolHere, ...]

    def plain(self) -> Mapping[str, Any]:
        """As it is told to others, in numbers, texts and lists."""
        return asdict(self)


def offer_from(plain: Any) -> Offer | None:
    """What a worker told; None of one that is not ours, or too old or new to be understood."""
    try:
        tools = tuple(
            ToolHere(**{**tool, "accepts": tuple(tool["accepts"])}) for tool in plain["tools"]
        )
        room, beacon = Capacity(**plain["room"]), tuple(plain["beacon"])
        return Offer(**{**plain, "tools": tools, "room": room, "beacon": beacon})
    except (TypeError, KeyError):
        return None


def offer_here(name: str, room: Capacity, store: Path, beacon: tuple[str, str]) -> Offer:
    """What this machine has, of which steps may take so much `room`."""
    return Offer(
        name, VERSION, platform.python_version(), dask_version(),
        f"{platform.system()} {platform.machine()}", machine_id(), str(store), beacon, room,
        tuple(_abilities()), tuple(_tools_here()),
    )  # fmt: skip


def machine_id() -> str:
    """Names this machine from its start to its end."""
    linux = Path("/proc/sys/kernel/random/boot_id")
    if linux.exists():
        return linux.read_text().strip()
    _, said = ask(["sysctl", "-n", "kern.bootsessionuuid"])
    return said.strip() or socket.gethostname()


def lacks(offer: Offer, step: Step, needs: Needs) -> str:
    """What a worker has not that a step needs, however idle it is; nothing if it has all."""
    if offer.cortexbuild != VERSION:
        return f"it has cortexbuild {offer.cortexbuild}, and here is {VERSION}"
    if step.kind is not Kind.FETCH and (missing := _tool_missing(offer, step)):
        return missing
    if needs.memory > offer.room.memory:
        return (
            f"it has {offer.room.memory / GIB:.2f} GiB of memory for steps, and this needs "
            f"about {needs.memory / GIB:.2f}"
        )
    return ""


def differences(scheduler: Mapping[str, str], offers: Iterable[Offer]) -> Iterator[str]:
    """Versions that are not the same everywhere, in words; a scheduler tells of two."""
    here = {"python": platform.python_version(), "dask": dask_version()}
    sides = {offer.name: {"python": offer.python, "dask": offer.dask} for offer in offers}
    for name, there in {"the scheduler": scheduler, **sides}.items():
        for what, ours in here.items():
            if there[what] != ours:
                yield f"{name} has {what} {there[what]}, and here is {ours}"


def _tool_missing(offer: Offer, step: Step) -> str:
    same = [t for t in offer.tools if (t.name, t.kind) == (step.tool.name, step.kind.value)]
    if not same:
        return f"it has no tool `{step.tool.name}` that can {step.kind.value}"
    tool = next((tool for tool in same if takes(tool, step.format)), same[0])
    error = (
        ToolError(tool.missing, hint="see `cortexbuild cluster workers` for what each machine has")
        if tool.missing
        else None
    )
    error = error or refusal(step.tool, tool.revision, tool.engine)
    return str(error) if error else ""


def dask_version() -> str:
    try:
        return version("distributed")
    except PackageNotFoundError:
        return "none"


def _tools_here() -> Iterator[ToolHere]:
    for tool in every_tool():
        engine: Mapping[str, str] = {}
        missing = ""
        try:
            engine = dict(tool.engine())
        except ToolError as error:
            missing = str(error)
        yield ToolHere(tool.name, tool.kind.value, tool.accepts, tool.revision, engine, missing)


def _abilities() -> Iterator[str]:
    yield from (name for name in ENGINES if find_spec(name) is not None)
    if any(Path("/dev").glob("nvidia[0-9]*")):
        yield "cuda"
    if sys.platform == "darwin" and platform.machine() == "arm64":
        yield "metal"
