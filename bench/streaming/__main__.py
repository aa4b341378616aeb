"""A model to MLX in 4 bits, against mlx_lm.convert.

    python bench/streaming [--rounds 3] [SIZE ...]

Writes docs/reference/streaming.md. Of sizes that are too large for the disk to hold twice, say
30B, give `--alone`: then only ours is run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[n]) for n in (1, 2)]

from measure import Taken, in_turn, machine, run, table, versions, warm, write_page  # noqa: E402
from models import write_model  # noqa: E402

STEP = Path(__file__).with_name("step.py")
TEXT = """\
# Streaming: MLX in 4 bits

Llamas of random weights in bfloat16, to 4 bits in groups of 64. On {machine}, with
{versions}; medians of {rounds} rounds, one after the other in each.

{table}

Ours is the step of a sync, in a process of its own: it reads the source once, some megabytes at a
time, packs them on all processors, and hashes what it writes on the way into the store, synced to
the disk. `mlx_lm.convert` is the program of mlx-lm, which leaves that to the system. Tensors are
the same, byte for byte (tests/engines/test_mlx.py).
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/streaming", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("sizes", nargs="*", default=["1B", "8B"])
    chosen = parser.parse_args()
    rows = []
    for size in chosen.sizes:
        with tempfile.TemporaryDirectory(prefix="streaming-") as folder:
            rows += measured(Path(folder), size, chosen.rounds, alone=chosen.alone)
    head = ["", "time", "processor", "memory", "of mlx_lm: time", "processor", "memory"]
    text = TEXT.format(
        machine=machine(), versions=versions("mlx", "mlx-lm"), rounds=chosen.rounds,
        table=table(head, rows),
    )  # fmt: skip
    if chosen.alone:
        print(text)
    else:
        write_page("streaming", text)


def measured(folder: Path, size: str, rounds: int, *, alone: bool) -> list[list[str]]:
    weights = write_model(folder / "model", size)
    warm(folder / "model")
    jobs = {"cortexbuild": lambda: ours(folder)}
    if not alone:
        jobs["mlx_lm.convert"] = lambda: theirs(folder)
    taken = in_turn(rounds, jobs)
    base = taken.get("mlx_lm.convert")
    name = f"{weights / 1e9:.1f} billion weights"
    return [[f"{name}, {job}", *_shown(one, base)] for job, one in taken.items()]


def _shown(one: Taken, base: Taken | None) -> list[str]:
    shown = [f"{one.seconds:.1f} s", f"{one.processor:.1f} s", f"{one.memory >> 20} MB"]
    if base is None or base is one:
        return [*shown, "", "", ""]
    pairs = zip(
        (one.seconds, one.processor, one.memory),
        (base.seconds, base.processor, base.memory),
        strict=True,
    )
    return [*shown, *(f"{ours / theirs:.2f}" for ours, theirs in pairs)]


def ours(folder: Path) -> Taken:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        return run(sys.executable, STEP, folder / "model", scratch)


def theirs(folder: Path) -> Taken:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = (sys.executable, "-m", "mlx_lm", "convert", "--hf-path", folder / "model")
        how = ("-q", "--q-bits", "4", "--q-group-size", "64")
        return run(*command, "--mlx-path", Path(scratch) / "mlx", *how)


if __name__ == "__main__":
    main()
