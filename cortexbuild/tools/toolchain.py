"""Run llama.cpp's own converter, in a process of its own, and see that its tokens are right.

The converter (`convert_hf_to_gguf.py`) is no package: it comes as an input of the step
(`sources/toolchain`). Its gguf-py must stand before any gguf that is installed, and it imports
torch and transformers; so it gets a process. `main` is what runs there.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from ..core.ports import Tool
from ..errors import ToolError
from ..formats.tokenizer.tables import name_of_words
from .tokens import check_tokens

TOOLS: tuple[Tool, ...] = ()  # part of the tool `gguf`

START = "import sys; sys.path.append(sys.argv.pop(1)); from {} import main; main(sys.argv[1:])"
SEE_LOG = "the log of the step has all that the converter said"
MISSING = "pip install 'cortexbuild[gguf]'"


def run_converter(
    call: Callable[[Sequence[str]], None], toolchain: Path, source: Path, out: Path, dtype: str
) -> None:
    """Convert the Hugging Face folder `source` to the GGUF file `out`.

    Raises ToolError with the converter's own reason, and when the model's tokens would not be
    those that its source gives.
    """
    package = Path(__file__).parent.parent.parent
    with tempfile.TemporaryDirectory() as scratch:
        reason = Path(scratch, "reason.json")
        # -P: a `gguf.py` or `torch.py` in the folder where somebody stands is not to be imported.
        argv = [sys.executable, "-P", "-c", START.format(__name__), str(package)]
        try:
            call([*argv, str(toolchain), str(source), str(out), dtype, str(reason)])
        except ToolError as error:
            if not reason.exists():
                raise
            message, hint = json.loads(reason.read_text())
            raise ToolError(message, hint=hint or SEE_LOG) from error


def main(arguments: Sequence[str]) -> None:
    """TOOLCHAIN SOURCE OUT DTYPE REASON: convert, or write into REASON why it cannot be done."""
    toolchain, source, out = map(Path, arguments[:3])
    dtype, reason = arguments[3:]
    sys.excepthook = partial(_write_down, Path(reason))
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    sys.path[:0] = [str(toolchain), str(toolchain / "gguf-py")]
    _convert(source, out, dtype)
    check_tokens(source, out)


def _convert(source: Path, out: Path, dtype: str) -> None:
    import numpy as np

    converter = _prepared_converter()
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    with tempfile.TemporaryDirectory() as scratch:
        # Names and versions are guessed from the folder's name, so it gets one that tells nothing
        # of where it lies: that of the architecture.
        folder = Path(scratch, _architecture(source))
        folder.symlink_to(source.absolute(), target_is_directory=True)
        sys.argv = ["convert_hf_to_gguf.py", str(folder), "--outfile", str(out)]
        sys.argv += ["--outtype", dtype]
        try:
            # Too large for 16 bits must not become infinite without a word.
            with np.errstate(over="raise" if dtype == "f16" else "warn"):
                converter.main()
        except FloatingPointError as error:
            raise ToolError(
                "a weight is too large for f16", hint="`set: {dtype: bf16}` has the range"
            ) from error
        except SystemExit as error:
            if error.code:
                said = error.code if isinstance(error.code, str) else errors.last
                raise ToolError(f"llama.cpp's converter: {said}", hint=SEE_LOG) from error


def _prepared_converter() -> Any:
    """The converter, taught to look at tokenizer.json where it does not know a vocabulary."""
    base: Any = import_module("conversion.base")
    known = base.TextModel.get_vocab_base_pre
    if known.__name__ != "_name_or_choose":

        def _name_or_choose(model: Any, tokenizer: object) -> str:
            try:
                name: str = known(model, tokenizer)
            except NotImplementedError as error:
                name = _chosen(model.dir_model, error)
            return name

        base.TextModel.get_vocab_base_pre = _name_or_choose
    return import_module("convert_hf_to_gguf")


def _chosen(folder: Path, error: NotImplementedError) -> str:
    found = name_of_words(json.loads((folder / "tokenizer.json").read_text()))
    if found is None:
        raise ToolError(
            "llama.cpp has no pre-tokenizer that splits text as this model's tokenizer.json does",
            hint="build it for another runtime, as with recipe `mlx-4bit`",
        ) from error
    sys.stderr.write(f"pre-tokenizer, by tokenizer.json: {found}\n")
    return found


def _architecture(source: Path) -> str:
    found = json.loads((source / "config.json").read_text()).get("model_type")
    plain = isinstance(found, str) and found.replace("_", "").replace("-", "").isalnum()
    return found if plain else "model"


class _Errors(logging.Handler):
    """Remembers the last error, since the converter logs it and then only exits."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = "it ended without a reason"

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


def _write_down(
    path: Path,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
) -> None:
    traceback.print_exception(kind, error, trace)
    message, hint = f"the conversion stopped: {kind.__name__}: {error}", ""
    if isinstance(error, ToolError):
        message, hint = str(error), error.hint
    elif isinstance(error, ImportError):
        hint = MISSING
    path.write_text(json.dumps([message, hint]))
