"""What each way to pack each layer takes, and what it costs: what a budget is spent by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ToolError
from .allocation import allocate
from .frontier import Option, Point, frontier

NAME = "sensitivity.json"


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """`options` are by layer and by the name of a packing; costs are nats of KL divergence per
    token. `beside` is an upper bound of the bytes of the file that no option decides, `weights`
    counts all numbers of the model."""

    options: Mapping[str, Mapping[str, Option]]
    beside: int
    weights: int

    def choose(self, budget: int) -> tuple[Mapping[str, str], int]:
        """The packing of each layer with which the file has at most `budget` bytes, at the least
        cost, and how many it has at most. Raises ToolError when nothing fits."""
        layers = [list(of.values()) for of in self.options.values()]
        least = self.beside + sum(min(option.size for option in of) for of in layers)
        if least > budget:
            raise ToolError(
                f"the weights would take {least} bytes at least, and the budget leaves {budget}",
                hint="choose a smaller model, a shorter `context`, or more memory",
            )
        found = allocate(layers, budget - self.beside)
        names = [list(of)[n] for of, n in zip(self.options.values(), found.choice, strict=True)]
        return dict(zip(self.options, names, strict=True)), self.beside + found.size

    def frontier(self) -> list[Point]:
        """Bytes of the file and predicted divergence, of the best choices from small to large."""
        points = frontier([list(of.values()) for of in self.options.values()])
        return [Point(self.beside + point.size, point.cost) for point in points]


def write_sensitivity(folder: Path, found: Sensitivity) -> None:
    options = {
        layer: {name: [option.size, option.cost] for name, option in of.items()}
        for layer, of in found.options.items()
    }
    said = {"beside": found.beside, "weights": found.weights, "options": options}
    (folder / NAME).write_text(json.dumps(said, indent=1) + "\n")


def read_sensitivity(text: str) -> Sensitivity:
    said = json.loads(text)
    options = {
        layer: {name: Option(size, cost) for name, (size, cost) in of.items()}
        for layer, of in said["options"].items()
    }
    return Sensitivity(options, said["beside"], said["weights"])
