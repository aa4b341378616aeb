"""What a source predicts on the evaluation text, computed once for all that is built from it.

The weights of a source with adapters are taken as they are, and each adapter beside them, as it
was trained: so a target whose adapters were not merged differs from this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import Field

from ..core.needs import MIB, TellNeeds, holding
from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError
from ..runtimes import load
from ..runtimes.architectures import in_mlx_lm, in_transformers
from . import gguf, int4, int8, mlx
from .lora import adapter_roles
from .measure import evaluation_text
from .torch import versions


class ReferenceParams(Params):
    """`tokens` of the text are predicted, in windows of `window`: both are the manifest's
    `evaluation:`. `weights` scale the adapters."""

    tokens: Annotated[int, Field(ge=2, le=1_000_000)] = 1024
    window: Annotated[int, Field(ge=2, le=65536)] = 512
    weights: Annotated[tuple[float, ...], Field(strict=False)] = ()


def _refer(format_: str) -> Callable[..., None]:
    def refer(run: Run, params: ReferenceParams) -> None:
        from ..quality.kept import keep

        model = load(format_, run.inputs["model"], allow_code=run.allow_code)
        if adapters := adapter_roles(run):
            from ..runtimes.adapted import adapt

            adapt(model, [run.inputs[role] for role in adapters], params.weights)
        tokens = model.encode(evaluation_text(run))[: params.tokens + 1]
        if len(tokens) < 2:
            raise ToolError("the evaluation text is too short", hint="give a longer `evaluation:`")
        for done in keep(run.out, tokens, params.window, model.logits):
            run.progress(done, len(tokens))

    return refer


def _torch_engine() -> Mapping[str, str]:
    return versions("torch", "safetensors", "transformers", "tokenizers")


def _tool(
    accepts: tuple[str, ...], format_: str, engine: Callable[[], Mapping[str, str]],
    needs: TellNeeds, knows: Callable[[str], bool] = in_transformers,
) -> Tool:  # fmt: skip
    return Tool(
        "reference", Kind.MEASURE, ReferenceParams, _refer(format_), revision=1,
        accepts=accepts, makes="reference", wants=("text", "adapters"), engine=engine,
        predict=lambda _params, _size: 32 << 20, determinism="best-effort", needs=needs,
        knows=knows, runs_code=knows is in_transformers,
    )  # fmt: skip


TOOLS = (
    _tool(("safetensors",), "safetensors", _torch_engine, holding(450 * MIB, 3.5)),
    _tool(("mlx", "mlx-*"), "mlx", mlx.engine, holding(500 * MIB, 5, gpu=1), in_mlx_lm),
    _tool(
        ("gguf", "gguf-*"),
        "gguf",
        gguf.engine,
        holding(400 * MIB, 1.5),
        lambda _architecture: True,
    ),
    _tool(("int8", "torchao-8bit"), "int8", int8.engine, holding(500 * MIB, 7)),
    _tool(("int4", "bnb-nf4"), "int4", int4.engine, holding(500 * MIB, 12)),
)
