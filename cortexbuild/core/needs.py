"""What a step takes of a machine while it runs, and what a machine has. It decides when a step
runs and never what it makes: nothing of it is in a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .roles import MODEL, SOURCE

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Needs:
    """`memory` is in bytes, at its peak, the process itself among them.

    `cores` are those that it wants to itself; what has one may use more while others idle. `gpu`
    is 1 for what computes on an accelerator where there is one, and `net` for what comes over a
    network.
    """

    memory: int = 0
    cores: int = 1
    gpu: int = 0
    net: int = 0


@dataclass(frozen=True, slots=True)
class Capacity:
    """What all steps that run at once may take together. With no `gpu` there is none to share,
    and what would use one does without; and more of a thing than there is nobody can have, but
    for memory."""

    memory: int = 1 << 62
    jobs: int = 1 << 20
    gpu: int = 0
    net: int = 4

    def without(self, taken: Needs) -> Capacity:
        """What is left beside; less than nothing of a memory that is kept free."""
        jobs = self.jobs - min(taken.cores, self.jobs)
        gpu = self.gpu - min(taken.gpu, self.gpu)
        net = self.net - min(taken.net, self.net)
        return Capacity(self.memory - taken.memory, jobs, gpu, net)

    def with_back(self, ended: Needs, whole: Capacity) -> Capacity:
        """What is left of `whole` when something that fitted has ended."""
        return Capacity(
            self.memory + ended.memory,
            self.jobs + min(ended.cores, whole.jobs),
            self.gpu + min(ended.gpu, whole.gpu),
            self.net + min(ended.net, whole.net),
        )

    def can_take(self, needs: Needs, whole: Capacity) -> bool:
        """Whether this, what is left of `whole`, is enough."""
        return (
            needs.memory <= self.memory
            and min(needs.cores, whole.jobs) <= self.jobs
            and min(needs.gpu, whole.gpu) <= self.gpu
            and min(needs.net, whole.net) <= self.net
        )


UNBOUND = Capacity()

SizesByRole: TypeAlias = Mapping[str, int]
"""The bytes of each input, of which a step may read a part."""

TellNeeds: TypeAlias = Callable[[Any, SizesByRole], Needs]
"""From a tool's settings and the sizes of its inputs, known or predicted."""

PROCESS = 64 * MIB
"""Bytes of a child that runs steps, without an engine: measured 43 MiB."""

FETCH_NEEDS = Needs(PROCESS, cores=0, net=1)
"""Of what brings bytes and sums them."""


def largest_tensor(size: int) -> int:
    """About the bytes of the largest tensor of weights of that size, mostly the embedding."""
    return min(size, GIB + size // 32)


def holding(engine: int, model: float, source: float = 0.0, *, gpu: int = 0) -> TellNeeds:
    """Of a tool that has its whole `model` in memory, so many times its bytes, beside what its
    `engine` takes. What it computes from that is told better by the size of the `source`, the
    weights as they were before they were packed."""

    def needs(_params: Any, sizes: SizesByRole) -> Needs:
        own, before = sizes.get(MODEL, 0), sizes.get(SOURCE, 0)
        return Needs(int(engine + model * own + source * max(own, before)), gpu=gpu)

    return needs


def streaming(engine: int, copies: float) -> TellNeeds:
    """Of a tool that has a tensor at a time in memory, so many times its bytes."""
    return lambda _params, sizes: Needs(int(engine + copies * largest_tensor(sizes.get(MODEL, 0))))


def bounded(engine: int, most: int, *, gpu: int = 0) -> TellNeeds:
    """Of a tool that has `most` bytes of weights in memory, or twice the model if that is less."""
    return lambda _params, sizes: Needs(engine + min(most, 2 * sizes.get(MODEL, 0)), gpu=gpu)
