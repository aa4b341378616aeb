"""Every source to every target, by real runs: writes docs/reference/formats.md.

    python bench/formats [--quick]

It works in a temporary folder; CORTEX_HOME, where it is set, is used as it is.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "engines")]

import document  # noqa: E402
import example  # noqa: E402
import families  # noqa: E402
import scores  # noqa: E402

DOCUMENT = ROOT / "docs" / "reference" / "formats.md"
TOKENS, QUICK_TOKENS = 2048, 256


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/formats", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TOKENS} tokens only")
    quick: bool = parser.parse_args().quick
    count = QUICK_TOKENS if quick else TOKENS
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory(prefix="formats-") as folder:
        work = Path(folder)
        os.environ.setdefault("CORTEX_HOME", str(work / "home"))
        rows = example.run(work, scores.heldout_tokens(count))
        tiny = families.run(work)
    command = "python bench/formats" + (" --quick" if quick else "")
    DOCUMENT.write_text(document.write(command, count, rows, tiny))


if __name__ == "__main__":
    main()
