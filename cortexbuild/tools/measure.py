"""Try a built model: run it on the evaluation text, and compare its tokenizer with the source's.

What is found is written down, good or bad; whether it is good enough is judged elsewhere
(`core/judge.py`), so that a limit may change without measuring again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Annotated

from pydantic import Field

from ..core.params import Params
from ..core.ports import LoadedModel, Run, Tool
from ..core.step import Kind
from ..errors import ToolError
from ..runtimes import find_runtime
from . import mlx

TOKENIZER_FILES = (
    "tokenizer*", "*.model", "vocab.*", "merges.txt", "added_tokens.json",
    "special_tokens_map.json", "chat_template*", "*.tiktoken",
)  # fmt: skip


class MeasureParams(Params):
    """`tokens` of the text are tried, in windows of `window`."""

    tokens: Annotated[int, Field(ge=2, le=1_000_000)] = 1024
    window: Annotated[int, Field(ge=2, le=65536)] = 512


def measure_mlx(run: Run, params: MeasureParams) -> None:
    _measure(run, params, "mlx")


def measure_gguf(run: Run, params: MeasureParams) -> None:
    _measure(run, params, "gguf")


def measure_torch(run: Run, params: MeasureParams) -> None:
    _measure(run, params, "safetensors")


def _measure(run: Run, params: MeasureParams, format_: str) -> None:
    text = "".join(path.read_text() for path in sorted(run.inputs["text"].iterdir()))
    model = find_runtime(format_).load(run.inputs["model"])
    measured = {
        **_losses(run, params, model, model.encode(text)),
        "tokenizer": _compare_tokenizers(run, model, text),
    }
    (run.out / "measures.json").write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")


def _losses(
    run: Run, params: MeasureParams, model: LoadedModel, tokens: Sequence[int]
) -> Mapping[str, object]:
    import numpy as np

    tokens = list(tokens)[: params.tokens]
    if len(tokens) < 2:
        raise ToolError("the evaluation text is too short", hint="give a longer `evaluation:`")
    losses, nonfinite = [], 0
    for start in range(0, len(tokens) - 1, params.window):
        window = tokens[start : start + params.window + 1]
        logits = model.logits(window[:-1]).astype(np.float64)
        nonfinite += int(np.size(logits) - np.count_nonzero(np.isfinite(logits)))
        highest = logits.max(-1, keepdims=True)
        logprobs = logits - highest - np.log(np.exp(logits - highest).sum(-1, keepdims=True))
        losses.append(-logprobs[np.arange(len(window) - 1), window[1:]])
        run.progress(start + len(window), len(tokens))
    loss = float(np.concatenate(losses).mean())
    return {
        "predictions": sum(len(window) for window in losses),
        "nonfinite_logits": nonfinite,
        "loss": f"{loss:.6f}" if nonfinite == 0 else "nan",
        "perplexity": f"{np.exp(loss):.4f}" if nonfinite == 0 else "nan",
        "weights": "dequantized to float32",
    }


def _compare_tokenizers(run: Run, model: LoadedModel, text: str) -> Mapping[str, object]:
    """The built model must see the same tokens as its source, and the text must come back."""
    from transformers import AutoTokenizer

    if not (run.inputs["source"] / "tokenizer.json").exists() and not any(
        run.inputs["source"].glob("*.model")
    ):
        return {"tokens": len(model.encode(text)), "compared": False, "first_difference": None}
    with tempfile.TemporaryDirectory() as folder:
        for path in run.inputs["source"].iterdir():
            shutil.copy(path, folder)
        # The class of a tokenizer may be named by the model's configuration alone.
        if (config := run.inputs["model"] / "config.json").exists():
            shutil.copy(config, folder)
        source = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    expected, got = list(source(text)["input_ids"]), model.encode(text)
    differs = [n for n, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b]
    if not differs and len(expected) != len(got):
        differs = [min(len(expected), len(got))]
    return {
        "tokens": len(got),
        "first_difference": differs[0] if differs else None,
        "text_comes_back": source.decode(expected, skip_special_tokens=True).strip()
        == text.strip(),
    }


def _gguf_engine() -> Mapping[str, str]:
    from .gguf import engine  # a plan of other formats does without it

    return engine()


def _torch_engine() -> Mapping[str, str]:
    from .torch import versions

    return versions("torch", "safetensors")


def _int8_engine() -> Mapping[str, str]:
    from .int8 import engine

    return engine()


def _int4_engine() -> Mapping[str, str]:
    from .int4 import engine

    return engine()


def _with_tokenizers(engine: Callable[[], Mapping[str, str]]) -> Mapping[str, str]:
    return {**engine(), **{name: version(name) for name in ("transformers", "tokenizers")}}


def _tool(
    run: Callable[[Run, MeasureParams], None],
    accepts: tuple[str, ...],
    engine: Callable[[], Mapping[str, str]],
    more: tuple[str, ...] = (),
) -> Tool:
    return Tool(
        "measure", Kind.VALIDATE, MeasureParams, run, revision=2,
        accepts=accepts, makes="measures", wants=("source", "text"),
        reads={"source": (*TOKENIZER_FILES, *more)}, engine=partial(_with_tokenizers, engine),
        predict=lambda _params, _size: 1000, determinism="best-effort",
    )  # fmt: skip


TOOLS = (
    _tool(measure_mlx, ("mlx", "mlx-*"), mlx.engine),
    # A GGUF has no config.json, which may be what names the class of the source's tokenizer.
    _tool(measure_gguf, ("gguf", "gguf-*"), _gguf_engine, ("config.json",)),
    _tool(measure_torch, ("safetensors",), _torch_engine),
    _tool(measure_torch, ("int8", "torchao-8bit"), _int8_engine),
    _tool(measure_torch, ("int4", "bnb-nf4"), _int4_engine),
)
