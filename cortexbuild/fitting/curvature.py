"""One forward and one backward pass of a model, and what they tell of each of its matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ToolError
from ..runtimes.pretrained import load_model
from .watching import Use, watching

if TYPE_CHECKING:
    import torch


def curvature_of(
    folder: Path,
    windows: Sequence[Sequence[int]],
    seed: int,
    progress: Callable[[int, int], None],
) -> Mapping[str, NDArray[np.float32]]:
    """Mean squares by tensor and role (`formats/curvature.py`), over `windows` of token ids."""
    import torch

    model = load_model(folder, dtype=torch.float32, attn_implementation="eager")
    _refuse_stacks(model)
    found = _pass(model, windows, seed, progress)
    _check_complete(model, found)
    count = sum(map(len, windows))
    return {
        f"{name}.{role}": means for name, sums in found.items() for role, means in sums.means(count)
    }


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


def _pass(
    model: Any, windows: Sequence[Sequence[int]], seed: int, progress: Callable[[int, int], None]
) -> dict[str, _Sums]:
    import torch

    for parameter in model.parameters():
        parameter.requires_grad_(False)
    rows = {name: len(parameter) for name, parameter in model.named_parameters()}
    chance = torch.Generator().manual_seed(seed)
    found: dict[str, _Sums] = {}
    done = 0
    for window in windows:
        with watching(model) as seen:
            logits = model(torch.tensor([list(window)]), use_cache=False).logits[0].float()
            logits.backward(direction(logits.detach(), chance))
        for use in seen:
            found.setdefault(use.name, _Sums()).add(use, rows[use.name])
        done += len(window)
        progress(done, sum(map(len, windows)))
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
            raise ToolError(
                f"`{name}` is no matrix of a linear layer or an embedding",
                hint="choose a recipe with fixed bits: `cortexbuild recipes`",
            )
