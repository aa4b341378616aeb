"""Have llama.cpp's own converter run, in a process of its own.

The converter (`convert_hf_to_gguf.py`) is no package: it comes as an input of the step
(`sources/toolchain`). Its gguf-py must stand before any gguf that is installed, and it imports
torch and transformers; so it gets a process. `converting.py` is what runs there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Literal

from ..core.ports import Progress, Run, Tool
from ..errors import ToolError

TOOLS: tuple[Tool, ...] = ()  # part of the tool `gguf`

START = """\
import os, sys
sys.path.append(sys.argv.pop(1))
from cortexbuild.tools.converting import main
main(sys.argv[1:])
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)  # to take PyTorch down in order takes a second
"""
SEE_LOG = "the log of the step has all that the converter said"
REASON, PROGRESS = "reason.json", "progress"
"""Files by which the process tells why it ended, and how far it is."""
FOLLOWING = 0.5
"""Seconds between two looks at how far it is."""

Fallback = Literal["refuse", "allow"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A quantized file that is wanted: one of llama.cpp's mixtures, where to, and what becomes of
    rows that do not fit its type, `refuse` or `allow`."""

    mixture: str
    out: str
    fallback: Fallback


def run_converter(
    call: Callable[[Sequence[str]], None], toolchain: Path, source: Path, out: Path, dtype: str
) -> None:
    """Convert the Hugging Face folder `source` to the GGUF file `out`.

    Raises ToolError with the converter's own reason, and when the model's tokens would not be
    those that its source gives.
    """
    with tempfile.TemporaryDirectory() as scratch:
        _start(call, toolchain, source, out, dtype, Path(scratch), [])


def quantize_converted(run: Run, dtype: str, wanted: Sequence[Wanted]) -> None:
    """Write the files that llama.cpp's quantizer would make of what its converter makes of a run's
    model, in this `dtype`.

    Raises ToolError as `run_converter` does, and where a type does not fit.
    """
    toolchain, source = run.inputs["toolchain"], run.inputs["model"]
    with tempfile.TemporaryDirectory(dir=run.output.scratch) as folder:
        scratch = Path(folder)
        with _followed(scratch / PROGRESS, run.progress):
            outline = scratch / "outline.gguf"
            _start(run.call, toolchain, source, outline, dtype, scratch, wanted)


def _start(
    call: Callable[[Sequence[str]], None],
    toolchain: Path,
    source: Path,
    out: Path,
    dtype: str,
    scratch: Path,
    wanted: Sequence[Wanted],
) -> None:
    package, reason = Path(__file__).parent.parent.parent, scratch / REASON
    # -P: a `gguf.py` or `torch.py` in the folder where somebody stands is not to be imported.
    argv = [sys.executable, "-P", "-c", START, str(package)]
    argv += map(str, (toolchain, source, out, dtype, scratch))
    try:
        call([*argv, json.dumps([asdict(one) for one in wanted])])
    except ToolError as error:
        if not reason.exists():
            raise
        message, hint = json.loads(reason.read_text())
        raise ToolError(message, hint=hint or SEE_LOG) from error


@contextmanager
def _followed(path: Path, progress: Progress) -> Iterator[None]:
    """Tell of the progress that another process writes down."""
    ended = Event()

    def follow() -> None:
        while not ended.wait(FOLLOWING):
            with suppress(OSError, ValueError):  # not yet there, or half written
                done, total = map(int, path.read_text().split())
                progress(done, total)

    follower = Thread(target=follow)
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()
