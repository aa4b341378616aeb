"""The scheduler with up to 1,000 workers and 100,000 steps, which only count: no step is run.

    python bench/scale [--rounds 3] [--workers 3,30,300,1000] [--steps 1000,10000,100000]

Writes docs/reference/scale.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[n]) for n in (0, 1)]

from measure import Taken, in_turn, machine, run, table, versions, write_page  # noqa: E402
from simulate import Played  # noqa: E402
from trivial import syncs  # noqa: E402
from work import STEPS  # noqa: E402

DASK = 4.9e-3
"""Seconds that dask.distributed 2026.8.0 took for each of 10,000 empty tasks, on two processors."""
MODELS = 1_112
EXECUTORS = {"children of the sync": (), "a Dask cluster of this machine": ("--executor", "dask")}
"""What is given to `sync` for steps to run there."""
HEAD = (
    "workers", "steps", "time", "at best", "by", "of the best",
    "processor", "a step", "steps/s", "RSS",
)  # fmt: skip
REAL = ("steps run in", "time", "a step", "processor", "a step", "memory")
TEXT = """\
# The scheduler with many workers and steps

Builds of models of nine steps each (fetched, looked at, and made into three targets that are then
measured), by the real scheduling of a sync, from the agenda to the executor. The executor is of
clockwork: a step takes as long as it says, and nobody waits for it.
On {machine}, with {versions}.
Rounds: {rounds}; they differ only in the processor's time, of which this is the median.

{table}

**Time** is what the build would take, and **at best** what no schedule can be faster than: the
longest way from the first step to the last, or all that the steps take of what is scarce (workers,
accelerators, fetches, memory), divided by what there is. **Processor** is what the scheduling took
of it, from the empty agenda to the last event, keys and traces among it, and **RSS** is the largest
that the process was, with the plan. A store's work for a step, and a network's, are not in it.

**The steps.** Weights have a median of 3 GB, and 16 GB at most; most are small, and some are not
(log-normal, by a fixed seed). What a step takes of memory and of accelerators is what the tools
here say, and its seconds are what a sync reckons with for what was never made: 50 MB/s to fetch
and to quantize, 200 to convert, 20 to validate. These rates are set, roughly and on the slow side
([MLX in 4 bits](streaming.md) was measured at {mlx:.0f} MB/s on two processors). The schedule goes
by them; a step then takes that long times a chance (log-normal, 0.5). The mean is {mean:.0f} s.
A worker has 32 GiB, every second has an accelerator, and a quarter fetch at once; the memory is
one pool, which is kinder than machines that cannot share theirs.

**Where it ends.** {workers:,} workers end {ended:.0f} of these steps a second, and the scheduler
could give out {can:,.0f}: it would hold {workers:,} workers back if steps took less than
{least:.2f} s. Dask, at the {dask:.1f} ms that an empty task took it on such a machine, would hold
them back under {dask_least:.1f} s, and could keep {dask_workers:,.0f} workers busy with steps like
these. Memory is {each:.1f} KB for a step, so a million steps are {million:.1f} GB.

## Steps that do next to nothing

{trivial:,} real steps, each of which copies 4 KB: `sync --jobs 2` with an empty store, once.

{real}

**Processor** is of all processes together, and the memory that of the largest one. A step is then
a message, inputs that are put in their place, a file that is hashed and synced to the disk, and a
trace.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/scale", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", default="3,30,300,1000")
    parser.add_argument("--steps", default="1000,10000,100000")
    chosen = parser.parse_args()
    jobs = {
        (workers, steps): lambda w=workers, s=steps: run(sys.executable, HERE / "simulate.py", w, s)
        for steps in chosen.steps.split(",")
        for workers in chosen.workers.split(",")
    }
    taken = in_turn(chosen.rounds, jobs)
    played = [(Played(**json.loads(one.said)), one) for one in taken.values()]
    real = syncs(MODELS, 1, EXECUTORS)
    last, process = played[-1]
    first = played[0][1]
    mean = last.bounds["workers"] * last.workers / last.steps
    step = last.processor / last.steps
    each = (process.memory - first.memory) / (last.steps - played[0][0].steps)
    write_page(
        "scale",
        TEXT.format(
            machine=machine(), versions=versions("distributed"), rounds=chosen.rounds,
            table=table(HEAD, [row(*one) for one in played]), mlx=2 * 7.9e9 / 41.6 / 1e6, mean=mean,
            workers=last.workers, ended=last.steps / last.seconds, can=1 / step,
            least=last.workers * step, dask=DASK * 1e3, dask_least=last.workers * DASK,
            dask_workers=mean / DASK, each=each / 1e3, million=each / 1e3,
            trivial=MODELS * STEPS,
            real=table(REAL, [real_row(name, one) for name, one in real.items()]),
        ),
    )  # fmt: skip


def row(played: Played, taken: Taken) -> list[str]:
    scarce = max(played.bounds, key=played.bounds.__getitem__)
    step = played.processor / played.steps
    return [
        f"{played.workers:,}", f"{played.steps:,}", f"{played.seconds / 3600:.2f} h",
        f"{played.bound / 3600:.2f} h", scarce, f"{played.bound / played.seconds:.1%}",
        f"{played.processor:.2f} s", f"{step * 1e6:.0f} µs", f"{1 / step:,.0f}",
        f"{taken.memory >> 20} MB",
    ]  # fmt: skip


def real_row(name: str, taken: Taken) -> list[str]:
    steps = MODELS * STEPS
    return [
        name, f"{taken.seconds:.0f} s", f"{taken.seconds / steps * 1e3:.1f} ms",
        f"{taken.processor:.0f} s", f"{taken.processor / steps * 1e3:.1f} ms",
        f"{taken.memory >> 20} MB",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
