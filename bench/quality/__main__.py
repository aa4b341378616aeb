"""Fixed recipes against fitted ones, by real runs: writes docs/reference/quality.md.

    python bench/quality [--quick]

It works in a temporary folder, with the converter of the installed llama-cpp-python's sources.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "engines")]

import candidates  # noqa: E402
import report  # noqa: E402
import scores  # noqa: E402

from cortexbuild.sources.toolchain import find_toolchain  # noqa: E402

DOCUMENT = ROOT / "docs" / "reference" / "quality.md"
CALIBRATION = ROOT / "cortexbuild" / "quality" / "calibration.txt"
TOKENS, QUICK_TOKENS = 4096, 2048
FEWEST = 2.3
"""Bits per weight below which nothing fits, since groups of 2 bits take 2.25."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/quality", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer recipes and tokens")
    chosen = parser.parse_args()
    count = QUICK_TOKENS if chosen.quick else TOKENS
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory(prefix="quality-") as folder:
        work = Path(folder)
        judge = scores.Judge(count)
        start = candidates.prepare(work, CALIBRATION, find_toolchain(ROOT))
        mlx = [
            pair(judge, start, name, recipe, candidates.fit_mlx)
            for name, recipe in candidates.fixed_mlx(chosen.quick).items()
        ]
        gguf = [
            pair(judge, start, name, recipe, candidates.fit_gguf)
            for name, recipe in candidates.fixed_gguf(chosen.quick).items()
        ]
        round_sizes = {
            bits: [judge.measure(candidates.build(start, fit(bits))) for fit in candidates.FITS]
            for bits in (3.0, 4.0, 5.0)
        }
    DOCUMENT.write_text(report.write(count, chosen.quick, mlx, gguf, round_sizes))


def pair(judge, start, name, recipe, fit) -> report.Pair:  # type: ignore[no-untyped-def]
    """A fixed recipe, and the fitted one of the same format with at most as many bytes."""
    theirs = judge.measure(candidates.build(start, recipe))
    ours = None
    if theirs.bits > FEWEST:
        ours = judge.measure(candidates.build(start, fit(theirs.bits)))
    print(name, theirs, ours, file=sys.stderr, flush=True)
    return report.Pair(name, theirs, ours)


if __name__ == "__main__":
    main()
