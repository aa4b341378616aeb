"""`step.py SOURCE FOLDER`: the step of a sync that makes MLX in 4 bits, as its process runs it.

With all that belongs to it: the output is hashed, synced to the disk and moved into a store.
"""

import sys
from pathlib import Path

from cortexbuild.core.ports import Run
from cortexbuild.core.step import StepKey
from cortexbuild.store.local import LocalStore
from cortexbuild.store.unfinished import Unfinished
from cortexbuild.tools import mlx


def main(source: Path, folder: Path) -> None:
    store = LocalStore(folder / "store")
    out, scratch = folder / "out", folder / "scratch"
    out.mkdir()
    scratch.mkdir()
    unfinished = Unfinished(store, StepKey("0" * 64), scratch, anew=False)
    run = Run({"model": source}, out, _call, lambda _done, _total: None, unfinished)
    mlx.quantize_source(run, mlx.QuantizeSourceParams(bits=4, group_size=64))
    store.add_folder(out)
    unfinished.take()
    store.close()


def _call(argv: object) -> None:
    raise AssertionError(f"no program is needed: {argv}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
