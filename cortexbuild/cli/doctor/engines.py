"""Python, engines beside what was locked and what is needed, and the compiler that MLX calls."""

from __future__ import annotations

import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ...core.lock import Lock
from ...errors import ToolError
from ...exec.engines import EXTRAS, install
from ...processes import Late, tell
from ...tools import every_tool
from .finding import Finding, Ground, error, ok, warning

LEAST = (3, 11)
LINE = '#include <cmath>\nextern "C" double f(double x) { return std::exp(x); }\n'


def python(ground: Ground) -> Iterator[Finding]:
    del ground
    here = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield of_python(sys.version_info[:2], here)


def of_python(found: tuple[int, ...], said: str) -> Finding:
    if found < LEAST:
        return error(f"{said}, and 3.11 is the least", "python3.11 -m venv .venv")
    if said.endswith("Darwin x86_64"):
        return warning(f"{said}: MLX needs an arm64 Python", "install Python for Apple silicon")
    return ok(said)


def engines(ground: Ground) -> Iterator[Finding]:
    locked = wanted(ground.lock)
    here = {name: _version(name) for name in EXTRAS} | dict.fromkeys(locked, "")
    for tool in every_tool() if locked else ():  # a tool may call what is no package
        with suppress(ToolError):  # it is not installed
            here |= tool.engine()
    yield from of_engines(here, locked, _least())


def of_engines(
    here: Mapping[str, str], locked: Mapping[str, str], least: Mapping[str, str]
) -> Iterator[Finding]:
    """The versions that are `here` (empty where one is not), beside those that are locked, and the
    least that were tried."""
    for name in sorted(here):
        found, extra = here[name], EXTRAS.get(name, "all")
        if name in locked and found != locked[name]:
            said = f"{name} {found} is here" if found else f"{name} is not installed"
            yield error(
                f"{said}, and cortex.lock has {locked[name]}",
                install({name: locked[name]})
                + ", or take what is here: `cortexbuild lock --upgrade-tools`",
            )
        elif found and numbers(found) < numbers(least.get(name, "0")):
            yield warning(
                f"{name} {found} is older than what cortexbuild was tried with ({least[name]})",
                f"pip install -U 'cortexbuild[{extra}]'",
            )
        elif found:
            yield ok(f"{name} {found}" + (", as locked" if name in locked else ""))
        else:
            yield ok(f"{name} is not installed (pip install 'cortexbuild[{extra}]')")


def wanted(lock: Lock | None) -> Mapping[str, str]:
    """The versions that a lock names, by package."""
    tools = lock.tools.values() if lock is not None else ()
    return {name: found for tool in tools for name, found in tool.engine.items()}


def numbers(text: str) -> tuple[int, ...]:
    """`0.3.36` as numbers, as far as these go."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


def compiler(ground: Ground) -> Iterator[Finding]:
    """On Linux, MLX compiles its kernels when they are first used."""
    if sys.platform == "linux" and (_version("mlx") or "mlx" in wanted(ground.lock)):
        yield of_compiler(ground.environment.get("CXX", "g++"))


def of_compiler(name: str) -> Finding:
    """Have it compile a line."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "line.cpp")
        source.write_text(LINE)
        argv = [name, "-O1", "-shared", "-fPIC", str(source), "-o", str(source.with_suffix(".so"))]
        try:
            done = tell(argv, "", 60.0)
            said = done.stderr.strip().partition("\n")[0] if done.returncode else ""
        except FileNotFoundError:
            said = "it is not installed"
        except (OSError, Late) as reason:
            said = str(reason)
    if said:
        return error(
            f"`{name}` compiles nothing: {said}; MLX on Linux needs it",
            "sudo apt install g++, or set CXX to a compiler that works",
        )
    return ok(f"`{name}` compiles")


def _version(name: str) -> str:
    try:
        return version(name).partition("+")[0]  # 2.13.0+cpu is locked as 2.13.0
    except PackageNotFoundError:
        return ""


def _least() -> Mapping[str, str]:
    """What our own package asks for."""
    try:
        lines = requires("cortexbuild") or []
    except PackageNotFoundError:  # run from its sources
        return {}
    found = (re.match(r"([A-Za-z0-9_.-]+)(?:\[\w+\])?[^;]*>=([0-9.]+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}
