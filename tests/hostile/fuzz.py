"""Look for bytes that a reader does not bear: `make fuzz`, or `fuzz.py READER… --minutes 5`.

With atheris (`pip install 'cortexbuild[fuzz]'`, libFuzzer for Python) what covers new code is gone
on with. Each defect is kept once, by the place where it was raised, in `.fuzz/found`. `--keep` adds
to the corpus that CI replays what of the rest reaches code that nothing there does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parent.parent.parent
KEPT = Path(__file__).parent / "corpus"
WORK = Path(os.environ.get("FUZZ_FOLDER", ROOT / ".fuzz"))
LONGEST = 65536
SECONDS, MEMORY = 10, 1024
"""What one example of up to LONGEST bytes may take; memory in MB, of the whole process."""

LONGEST_KEPT, MOST_KEPT = 8192, 80
"""Bytes of an example that CI replays, and how many of them a reader has."""


def run(name: str, seconds: int) -> None:
    """In a process of its own: libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["cortexbuild", "zipfile", "tarfile"]):
        from hostile.readers import try_on
    from hostile.mutations import mutate
    from hostile.seeds import seeds

    corpus, found = WORK / "corpus" / name, WORK / "found" / name
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    for data in (*seeds(name), *(path.read_bytes() for path in (KEPT / name).glob("*"))):
        (corpus / sha256(data).hexdigest()[:16]).write_bytes(data)

    def one(data: bytes) -> None:
        try:
            try_on(name, data)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is what is looked for)
            keep(found, data, error)

    def changed(data: bytes, longest: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 0.3:
            return bytes(atheris.Mutate(data, longest))
        return mutate(data, chance)[:longest]

    flags = (
        f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SECONDS}",
        f"-rss_limit_mb={MEMORY}", f"-artifact_prefix={found}/", "-print_final_stats=1",
        "-len_control=0", f"-seed={int(time.time()) % 2**31}",
    )  # fmt: skip
    atheris.Setup([sys.argv[0], *flags, str(corpus)], one, custom_mutator=changed)
    atheris.Fuzz()


def keep(found: Path, data: bytes, error: Exception) -> None:
    """Keep the shortest example of each defect, with what it came to."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "cortexbuild" in frame.filename] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}:{type(error).__name__}"
    path = found / place.replace(":", "-")
    if not path.exists() or path.stat().st_size > len(data):
        path.write_bytes(data)
        found.joinpath(f"{path.name}.txt").write_text(
            "".join(traceback.format_exception(error)[-4:])
        )


def fuzz(names: list[str], minutes: float) -> int:
    """All readers in turn, in rounds, so that each has had its time whenever this is ended."""
    counts: dict[str, int] = json.loads(_count_file().read_text()) if _count_file().exists() else {}
    rounds = max(1, round(minutes / len(names)))
    each = max(5, round(60 * minutes / len(names) / rounds))
    for _ in range(rounds):
        for name in names:
            done = subprocess.run(
                [sys.executable, __file__, name, "--in", str(each)], capture_output=True, text=True
            )
            made = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
            counts[name] = counts.get(name, 0) + (int(made[0].split()[-1]) if made else 0)
            _count_file().write_text(json.dumps(counts, indent=1, sort_keys=True))
            wrong = sorted(p.name for p in (WORK / "found" / name).glob("*") if p.suffix != ".txt")
            how = "" if made else f" (ended with {done.returncode}: {done.stderr[-300:]!r})"
            print(
                f"{name}: {counts[name]} runs, found {', '.join(wrong) or 'nothing'}{how}",
                flush=True,
            )
    return int(any((WORK / "found").glob("*/*")))


def keep_corpus(name: str) -> None:
    """Add to KEPT the smallest examples that go another way through our code."""
    from hostile.readers import try_on

    folder, seen = KEPT / name, set[tuple[str, int, int]]()
    folder.mkdir(parents=True, exist_ok=True)
    had = {path.name for path in folder.iterdir()}
    found = {path.name: path for path in (WORK / "corpus" / name).glob("*")}
    found = {name: path for name, path in found.items() if path.stat().st_size <= LONGEST_KEPT}
    smallest = sorted(found.values(), key=lambda path: (path.stat().st_size, path.name))
    for path in (*sorted(folder.iterdir()), *smallest):
        data = path.read_bytes()
        ways = _ways(lambda data=data: try_on(name, data))
        if not ways <= seen and len(had) < MOST_KEPT:
            had.add(path.name)
            (folder / sha256(data).hexdigest()[:16]).write_bytes(data)
        seen |= ways


def _ways(work: Callable[[], object]) -> set[tuple[str, int, int]]:
    """From which line to which, in our own modules."""
    ways: set[tuple[str, int, int]] = set()

    def enter(frame: FrameType, _event: str, _argument: object) -> Any:
        file, before = frame.f_code.co_filename, frame.f_lineno
        if "cortexbuild/" not in file:
            return None

        def step(frame: FrameType, _event: str, _argument: object) -> Any:
            nonlocal before
            ways.add((file, before, frame.f_lineno))
            before = frame.f_lineno
            return step

        return step

    sys.settrace(enter)
    try:
        work()
    finally:
        sys.settrace(None)
    return ways


def _count_file() -> Path:
    WORK.mkdir(parents=True, exist_ok=True)
    return WORK / "counts.json"


def main() -> int:
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="READER")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--keep", action="store_true", help="only see what is worth keeping")
    parser.add_argument("--in", type=int, dest="inside", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        run(args.names[0], args.inside)
    from hostile.readers import READERS  # not above: what is imported before atheris tells nothing

    if unknown := set(args.names) - set(READERS):
        parser.error(f"no reader {', '.join(sorted(unknown))}; there are {', '.join(READERS)}")
    if args.keep:
        for name in args.names or READERS:
            keep_corpus(name)
        return 0
    return fuzz(args.names or list(READERS), args.minutes)


if __name__ == "__main__":
    sys.exit(main())
