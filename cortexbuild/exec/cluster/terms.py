"""How a cluster is used, as those say who know what is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...core.needs import Needs
from ...core.step import Step, StepId


@dataclass(frozen=True, slots=True)
class Terms:
    """How a cluster is used. `needs` tells what a step takes of a machine, by the bytes of its
    inputs; `keeps` which outputs are to be here whatever their size. A step fails after
    `patience` seconds in which no worker was there that could run it."""

    needs: Callable[[Step, Mapping[str, int]], Needs]
    keeps: Callable[[StepId], bool]
    patience: float
