"""llama.cpp's quantizer: what it makes of a GGUF file, and what it would make of one."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.ports import Progress
from ..errors import REPORT, ToolError
from .llama_library import library

MOST_MEMORY = 1 << 30
"""Bytes of a tensor that the quantizer holds at once; its own default is 8 GiB."""

_STEP = re.compile(r"\[\s*(\d+)/\s*(\d+)\]")
_TENSOR = re.compile(
    r"^\[ *\d+/ *\d+\] (\S+) +- \[[^\]]*\], type = +(\w+), size = [^(\n]*(?:\((\w+)\))?$", re.M
)


def quantize_file(source: Path, out: Path, type_: str, progress: Progress, **more: Any) -> None:
    """`more` are fields of llama.cpp's `llama_model_quantize_params`. Raises ToolError with its
    reason where it does not; then there is no `out`."""
    size = source.stat().st_size

    def hear(line: str) -> None:
        sys.stderr.write(line)
        if at := _STEP.match(line):
            progress(size * int(at[1]) // int(at[2]), size)

    _run(source, out, type_, hear, more)


def planned_types(source: Path, type_: str) -> dict[str, str]:
    """The type that the quantizer gives each tensor, in the order in which it writes them.

    Of `source` only the header is read; behind it there may be nothing but holes.
    """
    said: list[str] = []
    _run(source, source.with_suffix(".none"), type_, said.append, {"dry_run": True})
    text = "".join(said)
    found = {name: (after or before).upper() for name, before, after in _TENSOR.findall(text)}
    if not found or len(found) != len(_STEP.findall(text)):
        raise ToolError("llama.cpp's quantizer tells its types in words not known", hint=REPORT)
    return found


def _run(
    source: Path, out: Path, type_: str, hear: Callable[[str], None], more: dict[str, Any]
) -> None:
    api, log = library().api, library().log
    wanted = api.llama_model_quantize_default_params()
    wanted.ftype = getattr(api, f"LLAMA_FTYPE_MOSTLY_{type_}")
    wanted.nthread = os.cpu_count() or 1  # the result is the same with any number
    wanted.max_buf_size = MOST_MEMORY
    for name, value in more.items():
        setattr(wanted, name, value)
    log.lines.clear()
    log.hear = hear
    try:
        failed = api.llama_model_quantize(
            str(source).encode(), str(out).encode(), ctypes.byref(wanted)
        )
    finally:
        log.hear = lambda _line: None
    if failed:
        out.unlink(missing_ok=True)
        reason = log.reason().rpartition("failed to quantize: ")[2]
        raise ToolError(
            f"llama.cpp cannot quantize this to {type_}: {reason}",
            hint="choose another recipe: `cortexbuild recipes`",
        )
