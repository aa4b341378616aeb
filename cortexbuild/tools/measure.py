"""Try a built model on the evaluation text: its scores, its tokens and its pace.

Scores are compared with those of its source, which `reference` has kept.

What is found is written down, good or bad; whether it is good enough is judged elsewhere
(`core/judge.py`), so that a limit may change without measuring again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..core.needs import MIB, TellNeeds, holding
from ..core.params import Params
from ..core.ports import LoadedModel, Run, Tool
from ..core.step import Kind
from ..errors import REPORT, ToolError
from ..runtimes import load
from ..runtimes.architectures import in_mlx_lm, in_transformers
from ..runtimes.pace import forget_peak, peak_memory, tokens_per_second
from ..runtimes.prompting import templated
from . import mlx

TOKENIZER_FILES = (
    "tokenizer*", "*.model", "vocab.*", "merges.txt", "added_tokens.json",
    "special_tokens_map.json", "chat_template*", "*.tiktoken",
)  # fmt: skip

CODE = ("*.py",)
"""Of a source that may run its own: its tokenizer's."""

PROMPT = 200
"""Characters of the evaluation text, that the timed text goes on from."""

CHAT = "What is 2 + 2?"

COMPUTED = {
    "mlx": "dequantized to float32",
    "safetensors": "dequantized to float32",
    "gguf": "as they are stored, with llama.cpp's kernels",
}
"""How the scores were computed that are compared: `LoadedModel.logits` of each runtime."""


class MeasureParams(Params):
    """There is nothing to set: the manifest's `evaluation:` says what is measured on."""


def measure_mlx(run: Run, params: MeasureParams) -> None:  # noqa: ARG001
    _measure(run, "mlx")


def measure_gguf(run: Run, params: MeasureParams) -> None:  # noqa: ARG001
    _measure(run, "gguf")


def measure_torch(run: Run, params: MeasureParams) -> None:  # noqa: ARG001
    _measure(run, "safetensors")


def evaluation_text(run: Run) -> str:
    return "".join(path.read_text() for path in sorted(run.inputs["text"].iterdir()))


def _measure(run: Run, format_: str) -> None:
    from ..formats.nonfinite import nonfinite  # planning does without numpy
    from ..quality.divergence import rounded_to

    text = evaluation_text(run)
    before = forget_peak()
    model = load(format_, run.inputs["model"], allow_code=run.allow_code)
    pace = tokens_per_second(model, text[:PROMPT])
    memory = peak_memory(before)  # and not of what else is looked at here
    bad = nonfinite(run.inputs["model"])
    scores, vocabulary = _compare_scores(run, model)
    measured = {
        "tokens_per_second": rounded_to(pace or 0.0, 4),
        "memory_bytes": memory,
        "nonfinite_weights": bad.count,
        "nonfinite_first": bad.first,
        **scores,
        "tokenizer": _compare_tokenizers(run, model, text, vocabulary),
        "weights": COMPUTED[format_],
    }
    (run.out / "measures.json").write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")


def _compare_scores(run: Run, model: LoadedModel) -> tuple[Mapping[str, object], int]:
    """Also how many tokens have a score."""
    from ..quality.divergence import Divergence
    from ..quality.kept import windows

    divergence, done, width = Divergence(), 0, 0
    for tokens, following, kept in windows(run.inputs["reference"]):
        scores = model.logits(tokens)
        least = kept.scores.shape[1] if kept.ids is None else int(kept.ids.max()) + 1
        if scores.shape[1] < least or (kept.ids is None and scores.shape[1] > least):
            raise ToolError(
                f"it scores {scores.shape[1]} tokens, and its source {least}", hint=REPORT
            )
        divergence.add(kept, scores, following)
        done, width = done + len(tokens), scores.shape[1]
        run.progress(done, done)
    return divergence.measures(), width


def _compare_tokenizers(
    run: Run, model: LoadedModel, text: str, vocabulary: int
) -> Mapping[str, object]:
    """The built model must see the same tokens as its source, and the text must come back."""
    from ..runtimes.pretrained import load_tokenizer

    if not (run.inputs["source"] / "tokenizer.json").exists() and not any(
        run.inputs["source"].glob("*.model")
    ):
        return {"tokens": len(model.encode(text)), "compared": False, "first_difference": None}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(run.inputs["source"], folder, dirs_exist_ok=True)
        # The class of a tokenizer may be named by the model's configuration alone.
        if (config := run.inputs["model"] / "config.json").exists():
            shutil.copy(config, folder)
        source = load_tokenizer(Path(folder), allow_code=run.allow_code)
    expected, got = list(source(text)["input_ids"]), model.encode(text)
    differs = [n for n, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b]
    if not differs and len(expected) != len(got):
        differs = [min(len(expected), len(got))]
    chat = _chat(lambda: templated(source, CHAT))
    return {
        "tokens": len(got),
        "first_difference": differs[0] if differs else None,
        "added_token": _first_other(source, model, vocabulary),
        "same_chat": None if chat is None else _chat(lambda: model.chat(CHAT)) == chat,
        "text_comes_back": source.decode(expected, skip_special_tokens=True).strip()
        == text.strip(),
    }


def _chat(write: Callable[[], str | None]) -> str | None:
    """A prompt, or None: there may be no template, or one that wants more than a message."""
    try:
        return write()
    except ToolError:
        return None


def _first_other(source: Any, model: LoadedModel, vocabulary: int) -> str | None:
    """The first added token of the source that is not one token to the built model.

    What stands around it may differ: llama.cpp reads a space after one, with SentencePiece, and
    spaces for Gemma's tokens of nothing else. A token that has no score is not in the model.
    """
    for token, number in sorted(source.get_added_vocab().items()):
        if number >= vocabulary or not token.strip("▁ \t\n"):
            continue
        if number not in model.encode(token, whole=False):
            return str(token)
    return None


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
    needs: TellNeeds,
    more: tuple[str, ...] = (),
    knows: Callable[[str], bool] = in_transformers,
) -> Tool:
    return Tool(
        "measure", Kind.VALIDATE, MeasureParams, run, revision=4,
        accepts=accepts, makes="measures", wants=("source", "text", "reference"),
        reads={"source": (*TOKENIZER_FILES, *more)}, engine=partial(_with_tokenizers, engine),
        predict=lambda _params, _size: 1000, determinism="best-effort", needs=needs,
        knows=knows, runs_code=run is measure_torch,
    )  # fmt: skip


TOOLS = (
    _tool(
        measure_mlx,
        ("mlx", "mlx-*"),
        mlx.engine,
        holding(500 * MIB, 1, 2.5, gpu=1),
        knows=in_mlx_lm,
    ),
    # A GGUF has no config.json, which may be what names the class of the source's tokenizer.
    _tool(
        measure_gguf,
        ("gguf", "gguf-*"),
        _gguf_engine,
        holding(400 * MIB, 1.5),
        ("config.json",),
        knows=lambda _architecture: True,
    ),
    _tool(measure_torch, ("safetensors",), _torch_engine, holding(500 * MIB, 1, 2.5), CODE),
    _tool(measure_torch, ("int8", "torchao-8bit"), _int8_engine, holding(500 * MIB, 1, 3), CODE),
    _tool(measure_torch, ("int4", "bnb-nf4"), _int4_engine, holding(500 * MIB, 1, 3), CODE),
)
