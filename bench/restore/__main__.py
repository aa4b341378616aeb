"""What a cached result takes to come back: writes docs/reference/restore.md.

    python bench/restore [--size 1B] [--rounds 3]

A model in bfloat16 (2 GB with 1B) is built and pushed once. Then it comes into an empty home from a
folder, and over nginx; and a view of it is placed. Beside that: `cp`, and the client of the Hub.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[n]) for n in (1, 2)]
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

from hub import Hub  # noqa: E402
from measure import CLI, Taken, in_turn, machine, run, table, versions, warm, write_page  # noqa: E402
from models import write_model  # noqa: E402
from remotes import servers  # noqa: E402

TARGET = "m:only-bf16"
CP_AND_SYNC = 'cp -r "$0" "$1" && sync'
RECIPE = "schema: 1\nsummary: not measured\nsteps:\n  - {do: convert, tool: mlx}\n"
MANIFEST = """\
schema: 1
cache: {{remotes: [{{url: "{url}", name: team}}]}}
trust: ["{key}"]
models:
  m: {{source: 'path:../model', targets: [only-bf16]}}
"""
TEXT = """\
# Restoring: what it takes

A built model of {megabytes} MB in {files} files, in the system's memory already. On {machine}, with
{versions}; whole processes, medians of {rounds} rounds, one after the other in each.

{table}

*A sync into an empty home* brings every byte, hashes it on the way, and syncs it to the disk before
it has a name; then it places the view that programs open. A view of what the store has already is
made of links. `cp` compares nothing; with `sync` it ends when the data is on the disk, as ours
does. `hf download` copies from its own warm cache into a folder, and asks a Hub on loopback for
what there should be.

## What of a sync is transfer

Over nginx on loopback, without TLS, a `sync` whose only target is cached takes {wall:.2f} s, and
{transfer:.2f} s of that pass from the first byte that is asked for to the last that is hashed and
on the disk: **{share:.0%}**. The rest ({rest:.2f} s) does not depend on the size. By calculation,
the same bytes take {gigabit:.0f} s on a network of 1 Gbit/s, and are {gigabit_share:.0%} there.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/restore", description=__doc__)
    parser.add_argument("--size", default="1B")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="restore-") as name, ExitStack() as stack:
        folder = Path(name)
        write_model(folder / "model", chosen.size)
        url = stack.enter_context(servers.plain_nginx(folder / "nginx"))
        shared = folder / "nginx" / "srv" / "cortex"  # the folder that nginx shows
        built = build(folder, f"file://{shared}")
        write_project(folder / "http", url, export_key(folder))
        shutil.copy(folder / "file" / "cortex.lock", folder / "http")
        files = {path.name: path for path in built.iterdir()}
        hub = stack.enter_context(Hub())
        hub.commit("org/m", {name: path.read_bytes() for name, path in files.items()})
        hf = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_XET": "1"}
        run(hf_program(), "download", "org/m", env=hf)
        warm(shared, built, folder / "hf")
        taken = in_turn(
            chosen.rounds,
            {
                "`cp`": lambda: into(folder, "cp", "-r", built),
                "`cp` and `sync`": lambda: into(folder, "sh", "-c", CP_AND_SYNC, built),
                "`hf download --local-dir`": lambda: into(
                    folder, hf_program(), "download", "org/m", "--local-dir", env=hf
                ),
                "**a sync into an empty home**, from a folder": lambda: cold(folder / "file"),
                "**a sync into an empty home**, over nginx": lambda: cold(folder / "http"),
                "**placing a view**": lambda: place(folder),
            },
        )
        size = sum(path.stat().st_size for path in files.values())
    bare = taken["`cp` and `sync`"].seconds
    rows = [
        [name, f"{it.seconds:.2f} s", f"{it.seconds / bare:.2f}", f"{it.processor:.2f} s",
         f"{it.memory >> 20} MB"]
        for name, it in taken.items()
    ]  # fmt: skip
    http = taken["**a sync into an empty home**, over nginx"]
    transfer, gigabit = pulled_seconds(http), size * 8 / 1e9
    rest = http.seconds - transfer
    write_page(
        "restore",
        TEXT.format(
            megabytes=size >> 20, files=len(files), machine=machine(), rounds=chosen.rounds,
            versions=versions("huggingface_hub", "urllib3"), wall=http.seconds, transfer=transfer,
            share=transfer / http.seconds, rest=rest, gigabit=gigabit,
            gigabit_share=gigabit / (gigabit + rest),
            table=table(["", "time", "of `cp` and `sync`", "processor", "memory"], rows),
        ),
    )  # fmt: skip


def build(folder: Path, url: str) -> Path:
    """Build the target, and push it. Gives its files, as a program sees them."""
    home = {"CORTEX_HOME": str(folder / "home")}
    run(*CLI, "keys", "new", "bench", env=home)
    write_project(folder / "file", url, export_key(folder))
    ours = partial(run, *CLI, cwd=folder / "file", env=home)
    ours("sync")
    ours("push", "--key", "bench")
    return (folder / "home" / "mlx_models" / "m--only-bf16").resolve()


def export_key(folder: Path) -> str:
    env = {"CORTEX_HOME": str(folder / "home")}
    return run(*CLI, "keys", "export", "bench", env=env).said.strip()


def write_project(folder: Path, url: str, key: str) -> None:
    (folder / "recipes").mkdir(parents=True)
    (folder / "recipes" / "only-bf16.yaml").write_text(RECIPE)
    (folder / "cortex.yaml").write_text(MANIFEST.format(url=url, key=key))


def into(folder: Path, *command: str | Path, env: dict[str, str] | None = None) -> Taken:
    """A command whose last argument is a folder that does not exist yet."""
    os.sync()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        return run(*command, Path(scratch, "out"), env=env)


def cold(project: Path) -> Taken:
    os.sync()
    with tempfile.TemporaryDirectory(dir=project) as home:
        taken = run(*CLI, "sync", "--frozen", "--progress", "json", cwd=project,
                    env={"CORTEX_HOME": home})  # fmt: skip
    assert pulled_seconds(taken) > 0, "nothing was built here"
    return taken


def place(folder: Path) -> Taken:
    """The store has the files, and neither a folder of them nor a view."""
    for path in (folder / "home" / "mlx_models").iterdir():
        path.unlink()
    for tree in (folder / "home" / "build" / "v1" / "trees").iterdir():
        for path in sorted(tree.rglob("*"), reverse=True):
            path.unlink()
        tree.rmdir()
    env = {"CORTEX_HOME": str(folder / "home")}
    return run(*CLI, "sync", "--frozen", cwd=folder / "file", env=env)


def pulled_seconds(taken: Taken) -> float:
    """By the events that the sync told of."""
    events = [json.loads(line) for line in taken.said.splitlines() if line.startswith("{")]
    return sum(event["seconds"] for event in events if event.get("change") == "pulled")


def hf_program() -> Path:
    return Path(sys.executable).with_name("hf")


if __name__ == "__main__":
    main()
