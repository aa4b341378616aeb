"""GGUF: Hugging Face weights to llama.cpp's format, and GGUF weights to fewer bits.

The first is done by llama.cpp's own converter, the second by its library. What they get wrong
without a word is refused here: code in a model's folder, tokens that are not the source's,
sources that are quantized already, widths for which a type is exchanged for another.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from ..core.needs import MIB, streaming
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError
from ..formats.gguf.header import GgufHeader, read_header
from ..formats.gguf.widths import block_of, fell_back, sure_misfits
from ..formats.listing import local_files
from ..formats.shards import read_gguf
from ..runtimes.llama_library import gguf_file, library
from .toolchain import run_converter

NAME = "model.gguf"
QUANTIZER_NEEDS = streaming(100 * MIB, 3)
"""Of llama.cpp's quantizer: a tensor as it is, in 32 bits, and packed."""

UNQUANTIZED = {"F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64"}
"""Weights in full precision, and the tables that some models have beside them."""

MOST_MEMORY = 1 << 30
"""Bytes of a tensor that the quantizer holds at once; its own default is 8 GiB."""


class ConvertParams(Params):
    """`dtype` is what the weights are stored in; vectors, as of norms, stay in 32 bits.

    `f16` is what most GGUF files are made from, and what all of llama.cpp's kernels are good at;
    a weight beyond its range is an error. `bf16` keeps bfloat16 weights exactly, `f32` any.
    """

    dtype: Literal["f16", "bf16", "f32", "q8_0"] = "f16"


QuantizeType = Literal[
    "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_0", "Q4_1", "Q4_K_S", "Q4_K_M",
    "Q5_0", "Q5_1", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0", "IQ3_S", "IQ4_XS", "IQ4_NL",
    "F16", "BF16",
]  # fmt: skip


class QuantizeParams(Params):
    """`type` is one of llama.cpp's mixtures. Types that need an importance matrix are not here.

    The K types and IQ3_S and IQ4_XS need rows of a multiple of 256 weights, the others of 32.
    llama.cpp stores other rows in a type that fits, mostly a larger one: an error, unless
    `fallback` allows it.
    """

    type: QuantizeType = "Q4_K_M"
    fallback: Literal["refuse", "allow"] = "refuse"


def convert(run: Run, params: ConvertParams) -> None:
    source = run.inputs["model"]
    refuse_code(source)
    run_converter(run.call, run.inputs["toolchain"], source, run.out / NAME, params.dtype)


def refuse_code(source: Path) -> None:
    """Raises ToolError where a folder has Python, or asks for some that lies elsewhere.

    The converter lets some tokenizers run the code of their model; so there may be none.
    """
    hint = "use a model that transformers knows without code of the model's own"
    for path in sorted(source.rglob("*.py")):
        raise ToolError(f"the source has Python code, {path.relative_to(source)}", hint=hint)
    for path in sorted(source.rglob("*config*.json")):
        if _names_code(json.loads(path.read_text())):
            raise ToolError(f"{path.relative_to(source)} names code to run (`auto_map`)", hint=hint)


def _names_code(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "auto_map" in value or any(_names_code(item) for item in value.values())
    return isinstance(value, list) and any(_names_code(item) for item in value)


def quantize(run: Run, params: QuantizeParams) -> None:
    source = gguf_file(run.inputs["model"])
    files = local_files(source)
    header = read_gguf(files, sorted(files.sizes))
    refuse_quantized(header)
    if params.fallback == "refuse":
        _refuse(sure_misfits(header, params.type), params.type)  # before hours of work
    draft = run.out / f".{NAME}"
    quantize_file(run, source, draft, params.type)
    if params.fallback == "refuse":
        _refuse(fell_back(read_header(draft), params.type), params.type)
    draft.rename(run.out / NAME)


def refuse_quantized(header: GgufHeader) -> None:
    if found := sorted({tensor.type for tensor in header.tensors} - UNQUANTIZED):
        raise ToolError(
            f"these weights are quantized already ({', '.join(found)}); to do it again would "
            "lose more than it says",
            hint="build from the full-precision model that they were made from",
        )


def quantize_file(run: Run, source: Path, out: Path, type_: str, **more: Any) -> None:
    """`more` are fields of llama.cpp's `llama_model_quantize_params`."""
    api, log = library().api, library().log
    wanted = api.llama_model_quantize_default_params()
    wanted.ftype = getattr(api, f"LLAMA_FTYPE_MOSTLY_{type_}")
    wanted.nthread = os.cpu_count() or 1  # the result is the same with any number
    wanted.max_buf_size = MOST_MEMORY
    for name, value in more.items():
        setattr(wanted, name, value)
    size = source.stat().st_size

    def hear(line: str) -> None:
        sys.stderr.write(line)
        if at := re.match(r"\[\s*(\d+)/\s*(\d+)\]", line):
            run.progress(size * int(at[1]) // int(at[2]), size)

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


def _refuse(misfits: Sequence[str], type_: str) -> None:
    if misfits:
        raise ToolError(
            f"{len(misfits)} tensors have rows that do not divide by {block_of(type_)}, as "
            f"{type_} needs; the first is {misfits[0]}",
            hint="choose Q8_0, Q5_0, Q5_1, Q4_0, Q4_1 or IQ4_NL, which need 32, or set "
            "`fallback: allow` to have them stored in a larger type",
        )


def engine() -> Mapping[str, str]:
    return _versions("llama-cpp-python")


def _convert_engine() -> Mapping[str, str]:
    # What transformers reads of configurations and tokenizers is what the converter writes.
    return _versions("llama-cpp-python", "transformers")


def _versions(*names: str) -> Mapping[str, str]:
    try:
        return {name: version(name) for name in names}
    except PackageNotFoundError as error:
        raise ToolError(
            f"{error.name} is not installed", hint="pip install 'cortexbuild[gguf]'"
        ) from error


BITS: Mapping[str, float] = {
    "Q2_K": 3.16, "Q3_K_S": 3.64, "Q3_K_M": 4.00, "Q3_K_L": 4.30, "Q4_0": 4.5, "Q4_1": 5.0,
    "Q4_K_S": 4.67, "Q4_K_M": 4.89, "Q5_0": 5.5, "Q5_1": 6.0, "Q5_K_S": 5.57, "Q5_K_M": 5.70,
    "Q6_K": 6.56, "Q8_0": 8.5, "IQ3_S": 3.66, "IQ4_XS": 4.46, "IQ4_NL": 4.68, "F16": 16,
    "BF16": 16, "f16": 16, "bf16": 16, "f32": 32, "q8_0": 8.5,
}  # fmt: skip
"""Per weight: of mixtures, as llama.cpp's tools/quantize/README.md has them for Llama 3.1 8B."""


def _converted_size(params: ConvertParams, size: int) -> int:
    return int(size * BITS[params.dtype] / 16)


def _quantized_size(params: QuantizeParams, size: int) -> int:
    return int(size * BITS[params.type] / 16)


TOOLS = (
    Tool(
        "gguf", Kind.CONVERT, ConvertParams, convert, revision=1,
        accepts=("safetensors",), makes="gguf", wants=("facts", "toolchain"),
        engine=_convert_engine, predict=_converted_size, needs=streaming(450 * MIB, 3),
        knows=lambda _architecture: False,  # the converter may run code by itself
    ),
    Tool(
        "gguf", Kind.QUANTIZE, QuantizeParams, quantize, revision=1,
        accepts=("gguf",), makes="gguf", engine=engine, predict=_quantized_size,
        needs=QUANTIZER_NEEDS,
    ),
)  # fmt: skip
