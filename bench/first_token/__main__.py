"""From the command to the first token, against the engines' own programs.

    python bench/first_token [--size 1B] [--rounds 5]

Writes docs/reference/first_token.md. Each is a whole process that writes one token and ends, and
all read the same files, which are in memory already.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[n]) for n in (1, 2)]

from measure import CLI, in_turn, machine, run, table, versions, warm, write_page  # noqa: E402
from models import write_model  # noqa: E402

from cortexbuild.sources.toolchain import find_toolchain  # noqa: E402

PROMPT = "import os"
MANIFEST = """\
schema: 1
models:
  m: {source: 'path:model', targets: [only-mlx, only-gguf]}
"""
RECIPES = {
    "only-mlx": "- {do: convert, tool: mlx}\n  - {do: quantize, tool: mlx, set: {bits: 4}}",
    "only-gguf": "- {do: convert, tool: gguf, set: {dtype: f16}}\n"
    "  - {do: quantize, tool: gguf, set: {type: Q4_0}}",
}
LLAMA = """\
import sys
from llama_cpp import Llama
model = Llama(sys.argv[1], verbose=False)
print(model(sys.argv[2], max_tokens=1, temperature=0)["choices"][0]["text"])
"""
TEXT = """\
# The first token

From the command to the end of a process that writes one token, greedily, with the prompt
`{prompt}`: a Llama of {weights:.2f} billion random weights, in 4 bits, in memory already. On
{machine}, with {versions}; medians of {rounds} rounds, one after the other in each.

{table}

Ours finds the target in the project, and compares the stat of every file with what it was when the
file was last right.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/first_token", description=__doc__)
    parser.add_argument("--size", default="1B")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="first-token-") as name:
        project = Path(name)
        weights = write_model(project / "model", chosen.size)
        (project / "recipes").mkdir()
        for recipe, steps in RECIPES.items():
            text = f"schema: 1\nsummary: not measured\nsteps:\n  {steps}\n"
            (project / "recipes" / f"{recipe}.yaml").write_text(text)
        (project / "cortex.yaml").write_text(MANIFEST)
        home = project / "home"
        ours = partial(run, *CLI, cwd=project, env={
            "CORTEX_HOME": str(home), "CORTEX_LLAMA_CPP": str(find_toolchain(project)),
        })  # fmt: skip
        ours("sync")
        mlx, gguf = home / "mlx_models" / "m--only-mlx", home / "gguf_models" / "m--only-gguf.gguf"
        warm(mlx.resolve(), gguf.resolve())
        one = ("--max-tokens", "1")
        taken = in_turn(
            chosen.rounds,
            {
                "`mlx_lm.generate`": lambda: run(
                    sys.executable, "-m", "mlx_lm", "generate", "--model", mlx, "--prompt", PROMPT,
                    "--ignore-chat-template", *one,
                ),
                "**ours**, MLX": lambda: ours("generate", "m:only-mlx", PROMPT, *one),
                "`llama_cpp.Llama`": lambda: run(sys.executable, "-c", LLAMA, gguf, PROMPT),
                "**ours**, GGUF": lambda: ours("generate", "m:only-gguf", PROMPT, *one),
            },
        )  # fmt: skip
    rows, bare = [], 1.0
    for name, it in taken.items():
        if "ours" not in name:
            bare = it.seconds
        ratio = f"{it.seconds / bare:.2f}"
        rows.append([name, f"{it.seconds:.2f} s", ratio, f"{it.processor:.2f} s",
                     f"{it.memory >> 20} MB"])  # fmt: skip
    write_page(
        "first_token",
        TEXT.format(
            prompt=PROMPT, weights=weights / 1e9, machine=machine(), rounds=chosen.rounds,
            versions=versions("mlx", "mlx-lm", "llama-cpp-python"),
            table=table(["", "time", "of the engine's own", "processor", "memory"], rows),
        ),
    )  # fmt: skip


if __name__ == "__main__":
    main()
