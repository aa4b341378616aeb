"""Hashing of files in memory, against the programs for it: writes docs/reference/hashing.md.

python bench/hashing [--megabytes 4096] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[n]) for n in (1, 2)]

from measure import Taken, in_turn, machine, run, table, versions, warm, write_page  # noqa: E402

FILES = 8
OURS = "import sys; from pathlib import Path; from cortexbuild.store.{module} import {name}; {call}"
SUMS = OURS.format(module="hashing", name="sums_of", call="sums_of(Path(sys.argv[1]))")
XXH3 = OURS.format(module="hashing", name="xxh3_of", call="xxh3_of(Path(sys.argv[1]))")
INGEST = OURS.format(
    module="local",
    name="LocalStore",
    call="LocalStore(Path(sys.argv[2])).add_folder(Path(sys.argv[1]))",
)
TOGETHER = """\
import sys
from pathlib import Path
from cortexbuild.store.hashing import {name}
from cortexbuild.store.together import together
list(together({name}, sorted(Path(sys.argv[1]).iterdir())))
"""
TEXT = """\
# Hashing: what it takes

{megabytes} MB that cannot be compressed and are in memory already, in one file and in {files}.
On {machine}, with {versions}. Whole
processes; medians of {rounds} rounds, one after the other in each.

{table}

*sha256 and xxh3* is what a file gets on its way into the store, both in one reading; *xxh3* is how
a file is looked at again whose stat has changed. `cat` writes to /dev/null: no more than reading.
*Into the store* is a whole ingest of new files: hashed, synced to the disk, named. {missing}
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/hashing", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hashing-") as name:
        folder = Path(name)
        one, several = write_files(folder, chosen.megabytes)
        warm(one, several)
        python = partial(run, sys.executable, "-c")
        jobs = {
            "`cat`": lambda: run("sh", "-c", 'cat "$0" > /dev/null', one),
            "`sha256sum`": lambda: run("sha256sum", one),
            "**sha256 and xxh3**": lambda: python(SUMS, one),
            "**xxh3**": lambda: python(XXH3, one),
            f"`sha256sum`, {FILES} files": lambda: run("sha256sum", *several.iterdir()),
            f"**sha256 and xxh3**, {FILES} files": lambda: python(
                TOGETHER.format(name="sums_of"), several
            ),
            f"**xxh3**, {FILES} files": lambda: python(TOGETHER.format(name="xxh3_of"), several),
            f"**into the store**, {FILES} files": lambda: ingest(folder, several),
        }
        if b3sum := shutil.which("b3sum"):
            jobs["`b3sum`"] = lambda: run(b3sum, one)
        taken = in_turn(chosen.rounds, jobs)
    rows = [
        [name, f"{it.seconds:.2f} s", f"{chosen.megabytes / it.seconds / 1024:.2f} GB/s",
         f"{it.processor:.2f} s", f"{it.memory >> 20} MB"]
        for name, it in taken.items()
    ]  # fmt: skip
    write_page(
        "hashing",
        TEXT.format(
            megabytes=chosen.megabytes, files=FILES, machine=machine(), rounds=chosen.rounds,
            versions=versions("xxhash"), missing="" if b3sum else "No `b3sum` was to be had.",
            table=table(["", "time", "pace", "processor", "memory"], rows),
        ),
    )  # fmt: skip


def write_files(folder: Path, megabytes: int) -> tuple[Path, Path]:
    one, several = folder / "one", folder / "several"
    several.mkdir()
    with one.open("wb") as whole:
        for number in range(FILES):
            with (several / f"part-{number}").open("wb") as part:
                for _ in range(megabytes // FILES):
                    piece = os.urandom(1 << 20)
                    whole.write(piece)
                    part.write(piece)
    return one, several


def ingest(folder: Path, several: Path) -> Taken:
    """Of a copy, which is written but not yet on the disk, as after a step."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        out = Path(scratch, "out")
        shutil.copytree(several, out)
        return run(sys.executable, "-c", INGEST, out, Path(scratch, "store"))


if __name__ == "__main__":
    main()
