"""PyTorch models with 4-bit weights, for transformers. With bitsandbytes.

Every linear layer, an untied output layer among them, is packed as NF4 in groups of 64, whose
scales take 8 bits (https://arxiv.org/abs/2305.14314): 4.13 bits a weight. Embeddings stay in 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.needs import MIB, holding
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..runtimes.architectures import in_transformers
from .int8 import no_mixture, quantize_with
from .torch import versions

BITS = 4 + 8 / 64 + 32 / (64 * 256)
"""Bits a weight: itself, a scale for 64 of them, and a scale for 256 of those scales."""


class QuantizeParams(Params):
    """There is nothing to set: NF4, groups of 64, scales quantized once more."""


def quantize(run: Run, params: QuantizeParams) -> None:  # noqa: ARG001
    quantize_with(run, _nf4)


def engine() -> Mapping[str, str]:
    return versions("torch", "bitsandbytes", "accelerate", "transformers", "safetensors")


def _nf4(dtype: str, tied: bool) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        # By default an output layer is left out even where it has weights of its own.
        llm_int8_skip_modules=None if tied else [],
    )


def _size(params: QuantizeParams, size: int) -> int:  # noqa: ARG001
    """A floor, since embeddings are not known here."""
    return int(size * BITS / 16)


TOOLS = (
    Tool(
        "int4", Kind.QUANTIZE, QuantizeParams, quantize, revision=1,
        accepts=("safetensors",), makes="int4", wants=("facts",), engine=engine, predict=_size,
        check=no_mixture, needs=holding(450 * MIB, 1.5), knows=in_transformers, runs_code=True,
    ),
)  # fmt: skip
