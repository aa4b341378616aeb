"""GGUF: Hugging Face weights to llama.cpp's format, and GGUF weights to fewer bits.

The first is done by llama.cpp's own converter, the second by its library; and both in one pass,
without a file between them, by `streaming/gguf.py`. What they get wrong without a word is refused:
code in a model's folder, tokens that are not the source's, sources that are quantized already,
widths for which a type is exchanged for another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from ..core.needs import MIB, streaming
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError
from ..formats.gguf.header import read_header
from ..formats.gguf.refusing import refuse_fallback, refuse_misfits, refuse_quantized
from ..formats.listing import local_files
from ..formats.shards import read_gguf
from ..runtimes.llama_library import gguf_file
from ..runtimes.llama_quantizer import quantize_file
from .toolchain import Fallback, Wanted, quantize_converted, run_converter

NAME = "model.gguf"
QUANTIZER_NEEDS = streaming(100 * MIB, 3)
"""Of llama.cpp's quantizer: a tensor as it is, in 32 bits, and packed."""
CONVERTER_NEEDS = streaming(450 * MIB, 3)
"""Of its converter: PyTorch, and a tensor as it is, in 32 bits, and in 16."""
ONE_PASS_NEEDS = streaming(550 * MIB, 4)
"""The same, and the tensor before, of which pieces are being packed."""


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
    fallback: Fallback = "refuse"


class QuantizeSourceParams(QuantizeParams):
    """`dtype` is what the weights are converted to before they are packed, as for `convert`."""

    dtype: Literal["f16", "bf16", "f32"] = "f16"


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
        refuse_misfits(header, params.type)  # before hours of work
    draft = run.out / f".{NAME}"
    quantize_file(source, draft, params.type, run.progress)
    if params.fallback == "refuse":
        refuse_fallback(read_header(draft), params.type)
    draft.rename(run.out / NAME)


def quantize_source(run: Run, params: QuantizeSourceParams) -> None:
    quantize_together([(run, params)])


def quantize_together(runs: Sequence[tuple[Run, QuantizeSourceParams]]) -> None:
    """What `convert` and `quantize` would make one after the other, in one pass over the source
    for all that go by the same `dtype`."""
    by_dtype: dict[str, list[tuple[Run, Wanted]]] = {}
    for run, params in runs:
        one = Wanted(params.type, str(run.out / NAME), params.fallback)
        by_dtype.setdefault(params.dtype, []).append((run, one))
    refuse_code(runs[0][0].inputs["model"])
    for dtype, group in by_dtype.items():
        quantize_converted(group[0][0], dtype, [one for _, one in group])


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


def _knows(_architecture: str) -> bool:
    return False  # the converter may run code by itself


TOOLS = (
    Tool(
        "gguf", Kind.CONVERT, ConvertParams, convert, revision=1,
        accepts=("safetensors",), makes="gguf", wants=("facts", "toolchain"),
        engine=_convert_engine, predict=_converted_size, needs=CONVERTER_NEEDS, knows=_knows,
    ),
    Tool(
        "gguf", Kind.QUANTIZE, QuantizeParams, quantize, revision=1,
        accepts=("gguf",), makes="gguf", engine=engine, predict=_quantized_size,
        needs=QUANTIZER_NEEDS,
    ),
    Tool(
        "gguf", Kind.QUANTIZE, QuantizeSourceParams, quantize_source, revision=1,
        accepts=("safetensors",), makes="gguf", wants=("facts", "toolchain"),
        engine=_convert_engine, predict=_quantized_size, needs=ONE_PASS_NEEDS, knows=_knows,
        together=quantize_together,
    ),
)  # fmt: skip
