"""The long run: `make endure`, or `PYTHONPATH=tests python -m endurance --operations 10000`."""

from __future__ import annotations

import argparse
import sys
import time

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from .life import OPERATIONS
from .machine import LongUse, host

STEPS = 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shrink", action="store_true", help="look for the shortest way to fail")
    args = parser.parse_args()
    phases = [Phase.generate, *([Phase.shrink] if args.shrink else [])]
    chosen = settings(
        max_examples=8, stateful_step_count=STEPS, deadline=None, database=None, phases=phases,
        suppress_health_check=list(HealthCheck), print_blob=False, report_multiple_bugs=False,
    )  # fmt: skip
    started, number = time.monotonic(), args.seed
    try:
        while OPERATIONS.total() < args.operations:
            run_state_machine_as_test(seed(number)(LongUse), settings=chosen, _min_steps=STEPS)
            seconds = time.monotonic() - started
            print(f"seed {number}: {OPERATIONS.total()} operations, {seconds:.0f} s", flush=True)
            number += 1
    finally:
        print(f"at seed {number}")
        for kind, count in sorted(OPERATIONS.items(), key=lambda item: -item[1]):
            print(f"{count:7} {kind}")
        host().close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
