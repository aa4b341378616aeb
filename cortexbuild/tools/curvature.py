"""How much a model's predictions change with each of its weights, measured on a calibration text.

One forward and one backward pass in float32. The curvature is the Fisher information of the
model's own predictions, in a diagonal Kronecker factorization for each linear layer (Martens and
Grosse, https://arxiv.org/abs/1503.05671): an error E of the weights changes the predictions by
about 1/2 * sum_ij outputs_i * inputs_j * E_ij**2, in nats of KL divergence per token.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ..core.digest import Plain
from ..core.needs import MIB, holding
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError, UsageError
from ..runtimes.architectures import in_transformers
from .torch import versions

LEAST_TOKENS = 64
"""With fewer, most of what is measured would be chance."""


class CurvatureParams(Params):
    """`tokens` of the text are looked at, in windows of `window`; `seed` draws the directions."""

    tokens: Annotated[int, Field(ge=LEAST_TOKENS, le=1_000_000)] = 8192
    window: Annotated[int, Field(ge=2, le=65536)] = 512
    seed: int = 0


def measure(run: Run, params: CurvatureParams) -> None:
    """Write `curvature.safetensors`: float32 vectors, by the Hugging Face name of the weight.

    `<name>.inputs` (columns) and `<name>.outputs` (rows) of each linear layer; of an embedding
    `<name>.lookup_columns` (columns) and `<name>.lookup_rows` (rows) in the same roles, and the
    other two as well where it is the output layer too.
    """
    from ..fitting.curvature import curvature_of
    from ..formats.curvature import NAME
    from ..formats.safetensors.shards import Shard
    from ..formats.safetensors.stream import SafetensorsWriter
    from ..runtimes.pretrained import load_tokenizer

    source = run.inputs["model"]
    tokens = _tokens(load_tokenizer(source), run.inputs["calibration"], params)
    pieces = windows(tokens, params.window)
    vectors = curvature_of(source, pieces, params.seed, run.progress)
    entries = [(name, "F32", vector.shape) for name, vector in sorted(vectors.items())]
    shards, counted = [Shard(NAME, tuple(entries))], {"tokens": str(len(tokens))}
    with SafetensorsWriter(run.output, shards, counted, _ignore) as file:
        for name, _, _ in entries:
            file.append(name, vectors[name])


def calibration_text(folder: Path) -> str:
    """The text in a folder's files. Raises ToolError when there is none."""
    text = "".join(path.read_text() for path in sorted(folder.iterdir()))
    if not text.strip():
        raise ToolError("the calibration text is empty", hint="give another `calibration:`")
    return text


def windows(tokens: list[int], window: int) -> list[list[int]]:
    """Cut into pieces of `window`, without a last one of a single token."""
    cut = [tokens[start : start + window] for start in range(0, len(tokens), window)]
    return [piece for piece in cut if len(piece) > 1]


def _tokens(tokenizer: Any, folder: Path, params: CurvatureParams) -> list[int]:
    tokens = list(tokenizer(calibration_text(folder))["input_ids"])[: params.tokens]
    if len(tokens) < LEAST_TOKENS:
        raise ToolError(
            f"the calibration text has {len(tokens)} tokens, and {LEAST_TOKENS} are needed",
            hint="give a longer `calibration:`",
        )
    return tokens


def no_mixture(facts: Mapping[str, Plain]) -> None:
    if count := facts.get("experts"):
        raise UsageError(
            f"it is a mixture of {count} experts, whose curvature cannot be measured",
            hint="use a recipe with fixed bits",
        )


def engine() -> Mapping[str, str]:
    return versions("torch", "transformers")


def _ignore(_done: int, _all: int) -> None:
    pass


TOOLS = (
    Tool(
        "curvature", Kind.MEASURE, CurvatureParams, measure, revision=1,
        accepts=("safetensors",), makes="curvature", wants=("calibration",), engine=engine,
        check=no_mixture, predict=lambda _params, size: size // 1000, determinism="best-effort",
        needs=holding(700 * MIB, 7.5), knows=in_transformers,
    ),
)  # fmt: skip
