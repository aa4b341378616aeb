"""How many bytes the weights may take, of the memory that a model is to run in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..core.params import Params
from ..errors import ToolError
from .config import OVERHEAD_BYTES, kv_cache_bytes
from .families import Config

SIXTEENTHS: Mapping[str, int] = {"f16": 32, "q8": 17, "q4": 9}
"""Of a byte, for one value of a KV cache: 32 of 8 bits share a 16-bit scale, or 64 of them a scale
and a bias."""


class FitParams(Params):
    """What the result must fit into: `memory` bytes to run in, or `bits` per weight of the file.

    Of the memory, a KV cache of `context` tokens in `kv`, and what running takes beside, is
    taken off first.
    """

    memory: Annotated[int, Field(gt=0)] | None = None
    bits: Annotated[float, Field(gt=0, le=32)] | None = None
    context: Annotated[int, Field(ge=1)] = 4096
    kv: Literal["f16", "q8", "q4"] = "f16"

    @model_validator(mode="after")
    def _one_of_them(self) -> FitParams:
        if self.memory is not None and self.bits is not None:
            raise ValueError("set either `memory` or `bits`, and not both")
        return self


def weight_budget(params: FitParams, config: Config, weights: int) -> int:
    """The bytes that the file of a model of `weights` numbers may have.

    Raises ToolError when neither is set, when the cache alone takes the memory, and when the
    config does not tell how large that is.
    """
    if params.bits is not None:
        return int(weights * params.bits / 8)
    if params.memory is None:
        raise ToolError("nothing says what the model must fit into", hint="set `memory` or `bits`")
    values = kv_cache_bytes(config, params.context, 1)
    if values is None:
        raise ToolError(
            "config.json does not tell how large the KV cache is", hint="set `bits` instead"
        )
    cache = -(-values * SIXTEENTHS[params.kv] // 16)
    left = params.memory - cache - OVERHEAD_BYTES
    if left <= 0:
        raise ToolError(
            f"{params.memory} bytes are too few: the KV cache of {params.context} tokens takes "
            f"{cache} ({params.kv}), and running takes {OVERHEAD_BYTES} beside",
            hint="choose a shorter `context`, a smaller `kv`, or more memory",
        )
    return left


def predicted_bytes(params: FitParams, size: int) -> int:
    """An estimate before anything is known but that the source has 16 bits a weight."""
    if params.bits is not None:
        return int(size * params.bits / 16)
    return min(size, max(0, (params.memory or 0) - OVERHEAD_BYTES))
