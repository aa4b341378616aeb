"""Four GGUF files of one model by one sync, against a script that converts four times.

    python bench/gguf [--sizes 0.1B 1B 1.2B] [--rounds 3] [--types TYPE ...]

Writes docs/reference/gguf.md. The script is what one would write: llama.cpp's converter to f16, and
its quantizer, a process each, for every type. Neither measures the quality of what it made.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[n]) for n in (1, 2)]

from measure import CLI, Taken, in_turn, machine, run, table, versions, warm, write_page  # noqa: E402
from models import write_model  # noqa: E402

from cortexbuild.sources.toolchain import find_toolchain  # noqa: E402

TYPES = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
RECIPE = """\
schema: 1
summary: {type}, and nothing is measured
steps:
  - {{do: quantize, tool: gguf, set: {{type: {type}}}}}
"""
QUANTIZE = """\
import ctypes, os, sys
import llama_cpp as api
source, out, kind = sys.argv[1:]
wanted = api.llama_model_quantize_default_params()
wanted.ftype = getattr(api, "LLAMA_FTYPE_MOSTLY_" + kind)
wanted.nthread = os.cpu_count()
sys.exit(api.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(wanted)))
"""
TEXT = """\
# GGUF: four files of one model

Llamas of random weights in bfloat16, to {types}.
On {machine}, with {versions};
medians of {rounds} rounds, one after the other in each.

{tables}

Ours is `cortexbuild sync` with an empty store: the weights are pinned, copied in and hashed, and
all four files come of one pass over them; each is hashed and on the disk when it ends. The script
is llama.cpp's converter and quantizer, a process each, for every file. Both pack with the same
kernels, which are most of the work: what is saved is all but one of the conversions, which run on
one processor, all files of 16 bits, and what two files have in the same type (Q6_K here). So more
processors make the ratio smaller, and so does a larger vocabulary, whose embeddings are Q6_K in
three of these files; slower types make it larger. The last model has the layers and the vocabulary
of Llama 3.2 1B, and the one before has no more than the 4096 words of a small tokenizer.
"""
PART = """\
## {weights:.2f} billion weights, {words} words

{table}

**{ratio:.2f}** of the script's time.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/gguf", description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["0.1B", "1B", "1.2B"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--types", nargs="+", default=TYPES)
    chosen = parser.parse_args()
    parts = []
    for size in chosen.sizes:
        with tempfile.TemporaryDirectory(prefix="gguf-") as folder:
            parts.append(measured(Path(folder), size, chosen.rounds, chosen.types))
    write_page(
        "gguf",
        TEXT.format(
            types=", ".join(chosen.types), machine=machine(), rounds=chosen.rounds,
            versions=versions("llama-cpp-python", "transformers"), tables="\n".join(parts),
        ),
    )  # fmt: skip


def measured(project: Path, size: str, rounds: int, types: list[str]) -> str:
    weights = write_model(project / "model", size)
    words = json.loads((project / "model" / "config.json").read_text())["vocab_size"]
    write_project(project, types)
    toolchain = find_toolchain(project)
    warm(project / "model")
    taken = in_turn(
        rounds,
        {
            "cortexbuild sync": lambda: sync(project, toolchain),
            "the script": lambda: script(project, toolchain, types),
            "of it, one conversion": lambda: convert(project, toolchain),
        },
    )
    rows = [
        [name, f"{one.seconds:.1f} s", f"{one.processor:.1f} s", f"{one.memory >> 20} MB"]
        for name, one in taken.items()
    ]
    return PART.format(
        weights=weights / 1e9, words=words,
        table=table(["", "time", "processor", "largest process"], rows),
        ratio=taken["cortexbuild sync"].seconds / taken["the script"].seconds,
    )  # fmt: skip


def write_project(folder: Path, types: list[str]) -> None:
    (folder / "recipes").mkdir()
    for kind in types:
        (folder / "recipes" / f"only-{kind.lower()}.yaml").write_text(RECIPE.format(type=kind))
    names = ", ".join(f"only-{kind.lower()}" for kind in types)
    (folder / "cortex.yaml").write_text(
        f"schema: 1\nmodels:\n  m: {{source: 'path:model', targets: [{names}]}}\n"
    )
    (folder / "quantize.py").write_text(QUANTIZE)


def sync(folder: Path, toolchain: Path) -> Taken:
    (folder / "cortex.lock").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as home:
        env = {"CORTEX_HOME": home, "CORTEX_LLAMA_CPP": str(toolchain)}
        return run(*CLI, "sync", "-j", "2", cwd=folder, env=env)


def script(folder: Path, toolchain: Path, types: list[str]) -> Taken:
    taken = []
    for kind in types:
        taken.append(convert(folder, toolchain, keep=True))
        quantize = (sys.executable, folder / "quantize.py", "f16.gguf", f"{kind}.gguf", kind)
        taken.append(run(*quantize, cwd=folder))
    for path in folder.glob("*.gguf"):
        path.unlink()
    return sum(taken[1:], taken[0])


def convert(folder: Path, toolchain: Path, *, keep: bool = False) -> Taken:
    command = [sys.executable, toolchain / "convert_hf_to_gguf.py", "model", "--outtype", "f16"]
    taken = run(*command, "--outfile", "f16.gguf", cwd=folder)
    if not keep:
        (folder / "f16.gguf").unlink()
    return taken


if __name__ == "__main__":
    main()
