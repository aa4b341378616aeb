"""How much a model's predictions change with each of its weights, measured on a calibration text.

One forward and one backward pass in float32. The curvature is the Fisher information of the
model's own predictions, in a diagonal Kronecker factorization for each linear layer (Martens and
Grosse, https://arxiv.org/abs/1503.05671): an error E of the weights changes the predictions by
about 1/2 * sum_ij outputs_i * inputs_j * E_ij**2, in nats of KL divergence per token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.params import Params
from ..core.ports import Run, Tool
from ..core.step import Kind
from ..errors import ToolError
from ..formats.curvature import NAME
from ..formats.safetensors_stream import SafetensorsWriter
from ..runtimes.watching import Use, watching

if TYPE_CHECKING:
    import torch

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
    import torch

    from ..runtimes.pretrained import load_model, load_tokenizer

    source = run.inputs["model"]
    model = load_model(source, dtype=torch.float32, attn_implementation="eager")
    tokens = _tokens(load_tokenizer(source), run.inputs["calibration"], params)
    _refuse_stacks(model)
    found = _pass(model, tokens, params, run)
    _check_complete(model, found)
    vectors = {
        f"{name}.{role}": means
        for name, sums in found.items()
        for role, means in sums.means(len(tokens))
    }
    entries = [(name, "F32", vector.shape) for name, vector in sorted(vectors.items())]
    with SafetensorsWriter(run.out / NAME, entries, {"tokens": str(len(tokens))}, _ignore) as file:
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


@dataclass(slots=True)
class _Sums:
    """Sums of squares over all tokens so far, in float64, by their role."""

    of: dict[str, torch.Tensor] = field(default_factory=dict)

    def add(self, use: Use, rows: int) -> None:
        import torch

        if use.gradients is None:
            return
        gradients = use.gradients.double().square().sum(0)
        if use.looked_up:
            self._add("lookup_columns", gradients)
            self._add("lookup_rows", torch.bincount(use.inputs, minlength=rows).double())
        else:
            self._add("outputs", gradients)
            self._add("inputs", use.inputs.double().square().sum(0))

    def _add(self, role: str, values: torch.Tensor) -> None:
        self.of[role] = self.of[role] + values if role in self.of else values

    def means(self, tokens: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Per token. A word that the text does not have may come up elsewhere: one is added to
        the count of each."""
        for role, values in self.of.items():
            more = 1 if role == "lookup_rows" else 0
            means = (values + more) / (tokens + more * len(values))
            yield role, means.numpy().astype(np.float32)


def _pass(model: Any, tokens: list[int], params: CurvatureParams, run: Run) -> dict[str, _Sums]:
    import torch

    for parameter in model.parameters():
        parameter.requires_grad_(False)
    rows = {name: len(parameter) for name, parameter in model.named_parameters()}
    chance = torch.Generator().manual_seed(params.seed)
    found: dict[str, _Sums] = {}
    done = 0
    for window in windows(tokens, params.window):
        with watching(model) as seen:
            logits = model(torch.tensor([window]), use_cache=False).logits[0].float()
            logits.backward(direction(logits.detach(), chance))
        for use in seen:
            found.setdefault(use.name, _Sums()).add(use, rows[use.name])
        done += len(window)
        run.progress(done, len(tokens))
    return found


def direction(logits: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Random vectors whose covariance is the Fisher information of softmax(logits).

    Both are (tokens, vocabulary). With s = sqrt(p) * (random signs), s - p * sum(s) has the
    covariance diag(p) - p p^T, as the gradient for a label drawn from p has; but a label stands
    for one word of many, and this for all.
    """
    import torch

    chances = torch.softmax(logits, -1)
    signs = torch.randint(0, 2, logits.shape, generator=chance, dtype=torch.float32) * 2 - 1
    drawn = chances.sqrt() * signs
    return drawn - chances * drawn.sum(-1, keepdim=True)


def _refuse_stacks(model: Any) -> None:
    for name, parameter in model.named_parameters():
        if parameter.ndim > 2:
            raise ToolError(
                f"`{name}` is a stack of {len(parameter)} matrices, as mixtures have them, whose "
                "curvature cannot be measured",
                hint="use a recipe with fixed bits",
            )


def _check_complete(model: Any, found: Mapping[str, object]) -> None:
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and name not in found:
            raise ToolError(f"`{name}` is no matrix of a linear layer or an embedding")


def engine() -> Mapping[str, str]:
    try:
        return {name: version(name) for name in ("torch", "transformers")}
    except PackageNotFoundError as error:
        raise ToolError(
            f"{error.name} is not installed", hint="pip install 'cortexbuild[torch]'"
        ) from error


def _ignore(_done: int, _all: int) -> None:
    pass


TOOLS = (
    Tool(
        "curvature", Kind.VALIDATE, CurvatureParams, measure, revision=1,
        accepts=("safetensors",), makes="curvature", wants=("calibration",), engine=engine,
        predict=lambda _params, size: size // 1000, determinism="seeded",
    ),
)  # fmt: skip
