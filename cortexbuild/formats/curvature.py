"""What the tool `curvature` measured of a model's matrices, and what errors cost by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import REPORT, ToolError
from .safetensors.header import read_header

NAME = "curvature.safetensors"
ROLES = ("inputs", "outputs", "lookup_columns", "lookup_rows")

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Curvature:
    """Of a matrix (rows, columns): as a linear layer, and as an embedding; zeros where it is not.

    `inputs` and `lookup_columns` are of its columns, the other two of its rows. The curvature of
    the weight i, j is outputs[i] * inputs[j] + lookup_rows[i] * lookup_columns[j].
    """

    inputs: Vector
    outputs: Vector
    lookup_columns: Vector
    lookup_rows: Vector

    def cost(self, squares: NDArray[Any], rows: slice = slice(None)) -> float:
        """The KL divergence, in nats per token, that errors of these squares cost by themselves.

        `squares` are (rows, columns), or only some `rows`, which then stand for all.
        """
        found = 0.0
        pairs = ((self.outputs, self.inputs), (self.lookup_rows, self.lookup_columns))
        for of_rows, of_columns in pairs:
            part = float(of_rows[rows].sum())
            if part > 0:
                whole = float(of_rows.sum()) / part
                found += whole * float(of_rows[rows] @ (squares @ of_columns))
        return found / 2

    def with_rows(self, order: Callable[[Vector], Vector]) -> Curvature:
        """Of the same matrix with its rows in another order."""
        return replace(self, outputs=order(self.outputs), lookup_rows=order(self.lookup_rows))

    def columns(self) -> NDArray[np.float64]:
        """The mean curvature of each column's weights."""
        looked_up = float(self.lookup_rows.mean()) * self.lookup_columns.astype(np.float64)
        mean: NDArray[np.float64] = float(self.outputs.mean()) * self.inputs + looked_up
        return mean

    def hessian(self, moment: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the whole row, (columns, columns), from the second moment of the inputs: what is
        looked up adds to the diagonal."""
        columns = moment / max(float(np.trace(moment)), 1e-30) * float(self.inputs.sum())
        looked_up = float(self.lookup_rows.mean()) * self.lookup_columns.astype(np.float64)
        whole: NDArray[np.float64] = float(self.outputs.mean()) * columns + np.diag(looked_up)
        return whole


def read_curvature(folder: Path) -> dict[str, Curvature]:
    """By the Hugging Face name of the matrix."""
    path = folder / NAME
    found: dict[str, dict[str, Vector]] = {}
    octets = np.fromfile(path, np.uint8)
    for name, info in read_header(path).tensors.items():
        matrix, _, role = name.rpartition(".")
        if role not in ROLES or info.dtype != "F32":
            raise ToolError(f"`{name}` is nothing that a curvature has", hint=REPORT)
        found.setdefault(matrix, {})[role] = octets[info.start : info.end].view("<f4")
    return {name: _curvature(vectors) for name, vectors in found.items()}


def _curvature(vectors: dict[str, Vector]) -> Curvature:
    columns = next(vectors[role] for role in ("inputs", "lookup_columns") if role in vectors)
    rows = next(vectors[role] for role in ("outputs", "lookup_rows") if role in vectors)
    return Curvature(
        inputs=vectors.get("inputs", np.zeros_like(columns)),
        outputs=vectors.get("outputs", np.zeros_like(rows)),
        lookup_columns=vectors.get("lookup_columns", np.zeros_like(columns)),
        lookup_rows=vectors.get("lookup_rows", np.zeros_like(rows)),
    )
