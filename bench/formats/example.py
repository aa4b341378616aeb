"""The first table: the example model from every source to every target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scores
import sources
from building import Built, Result, Target, build
from scores import Scores, Tokens

TARGETS = (
    "safetensors", "mlx-bf16", "mlx-8bit", "mlx-4bit", "gguf-bf16", "gguf-q8_0", "gguf-q4_0",
    "gguf-q4_1", "gguf-q4_k_m", "int8", "int4",
)  # fmt: skip
PLAIN = {"safetensors", "mlx-bf16", "gguf-bf16"}


@dataclass(frozen=True, slots=True)
class Cell:
    """`divergence` is in nats per token, `distance` the largest difference of two scores."""

    result: Result
    divergence: float | None = None
    distance: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """`noise` is the divergence of the same weights in float32 from the reference."""

    title: str
    cells: tuple[Cell, ...]
    noise: float | None


def run(work: Path, tokens: Tokens) -> list[Row]:
    """Build every cell, and compare what it computes with what its source computes."""
    return [_row(work, case, tokens) for case in sources.make(work)]


def _row(work: Path, case: sources.Case, tokens: Tokens) -> Row:
    print(f"{case.title} …", flush=True)
    kept = work / f"{case.source.name}.npy"
    np.save(kept, case.reference(tokens))
    results = build(work, case.source, {name: Target(name) for name in TARGETS})
    reference: Scores = np.load(kept, mmap_mode="r")
    noise = scores.divergence(reference, case.exact(tokens)) if case.exact else None
    cells = []
    for name, result in results.items():
        if not isinstance(result, Built):
            cells.append(Cell(result))
            continue
        found = scores.by_runtime(result, tokens, work)
        both_plain = case.is_plain and name in PLAIN
        distance = scores.distance(reference, found) if both_plain else None
        cells.append(Cell(result, scores.divergence(reference, found), distance))
    return Row(case.title, tuple(cells), noise)
