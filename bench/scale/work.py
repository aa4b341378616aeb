"""Models to build, with what each step takes: a plan of nine steps for each."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from cortexbuild.app.estimates import BYTES_PER_SECOND
from cortexbuild.core.digest import Digest, File, Tree
from cortexbuild.core.needs import (
    FETCH_NEEDS,
    GIB,
    MIB,
    PROCESS,
    Capacity,
    Needs,
    TellNeeds,
    bounded,
    holding,
    streaming,
)  # fmt: skip
from cortexbuild.core.plan import Goal, Plan
from cortexbuild.core.step import FETCH, Input, Kind, Step, StepId, ToolId

SEED = 20_261_123
MEDIAN, SPREAD, LARGEST = 3e9, 1.0, 16e9
"""Bytes of a model's weights: most are small, and some are not."""
ERROR = 0.5
"""Of an estimate: half of all steps take less than 0.71 or more than 1.4 times as long."""


@dataclass(frozen=True)
class Part:
    """One of a model's steps: `reads` another, and makes so much of the weights that it had."""

    name: str
    kind: Kind
    reads: str
    makes: float
    needs: TellNeeds


PARTS = (
    Part("detect", Kind.DETECT, "fetch", 0, lambda _params, _sizes: Needs(PROCESS)),
    Part("f16", Kind.CONVERT, "fetch", 1, streaming(450 * MIB, 3)),
    Part("q4_k_m", Kind.QUANTIZE, "f16", 0.3, streaming(100 * MIB, 3)),
    Part("q4_k_m-check", Kind.VALIDATE, "q4_k_m", 0, holding(400 * MIB, 1.5)),
    Part("mlx", Kind.QUANTIZE, "fetch", 0.28, bounded(300 * MIB, GIB, gpu=1)),
    Part("mlx-check", Kind.VALIDATE, "mlx", 0, holding(500 * MIB, 1, 2.5, gpu=1)),
    Part("int8", Kind.QUANTIZE, "fetch", 0.5, holding(300 * MIB, 1)),
    Part("int8-check", Kind.VALIDATE, "int8", 0, holding(500 * MIB, 7)),
)
"""What the tools say of their needs."""
STEPS = 1 + len(PARTS)


@dataclass(frozen=True)
class Work:
    """A plan; what its steps take, and how long: as is thought before, and as it then is."""

    plan: Plan
    needs: dict[StepId, Needs]
    expected: dict[StepId, float]
    seconds: dict[StepId, float]


def work(models: int) -> Work:
    chance = random.Random(SEED)
    steps, goals = dict[StepId, Step](), dict[str, Goal]()
    made = Work(Plan(steps, goals), {}, {}, {})

    def add(step: Step, needs: Needs, read: float) -> StepId:
        id_ = step.id
        steps[id_], made.needs[id_] = step, needs
        made.expected[id_] = 1 + read / BYTES_PER_SECOND[step.kind]
        made.seconds[id_] = made.expected[id_] * chance.lognormvariate(0, ERROR)
        return id_

    for model in range(models):
        name = f"m{model:06d}"
        weights = min(chance.lognormvariate(0, SPREAD) * MEDIAN, LARGEST)
        tree = Tree((File("a", Digest(f"{model:064x}"), int(weights)),))
        fetch = Step(Kind.FETCH, FETCH, {}, {}, f"{name}/fetch", tree=tree)
        ids, sizes = {"fetch": add(fetch, FETCH_NEEDS, weights)}, {"fetch": weights}
        for part in PARTS:
            read = sizes[part.reads] if part.kind is not Kind.DETECT else 0
            needs = part.needs(None, {"model": int(read), "source": int(weights)})
            inputs = {"model": Input(ids[part.reads])}
            step = Step(part.kind, ToolId(part.name, 1), {}, inputs, f"{name}/{part.name}")
            ids[part.name], sizes[part.name] = add(step, needs, read), part.makes * weights
            if part.kind is Kind.VALIDATE:
                checks = (ids["detect"], ids[part.name])
                goals[f"{name}:{part.reads}"] = Goal(ids[part.reads], checks, "x", part.reads)
    return replace(made, plan=Plan(steps, goals))


def cluster(workers: int) -> Capacity:
    """Workers with 32 GiB each, of which half have an accelerator; a quarter may fetch at once."""
    return Capacity(workers * 32 * GIB, workers, gpu=max(1, workers // 2), net=max(4, workers // 4))
