"""Run a script with the engines in a process of its own: they print, warn and change limits."""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from workspace import ROOT

MODEL = ROOT / "examples" / "models" / "stdlib-llama-6m"


def run_script(code: str, *args: object) -> dict:
    """Run Python in a process of its own; it prints one JSON value as its last line."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=_environment(), capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


TORCH = "import torch"
ENGINES = """import mlx_lm, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
"""

FORKING = """
import json, os, sys
exec(sys.argv[1])
for line in sys.stdin:
    code, arguments, folder, out, err = json.loads(line)
    process = os.fork()
    if process == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in enumerate((out, err), 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        os.chdir(folder)
        sys.argv = ["-c", *arguments]
        status = 1
        try:
            exec(compile(code, "<script>", "exec"), {"__name__": "__main__"})
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
"""Engines take five seconds to import: here once, before each script has a fork of it. They have
begun no thread then, and no computation."""


def run_after(imports: str, code: str, *args: object) -> dict:
    """As `run_script`, where all such scripts share what was imported before them. Not for those
    that look at what is imported, measure memory, or have an environment of their own."""
    if sys.platform != "linux":  # frameworks of macOS do not bear to be forked
        return run_script(code, *args)
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        forking = _forking(imports)
        job = [code, [*map(str, args)], str(Path.cwd()), str(out), str(err)]
        print(json.dumps(job), file=forking.stdin, flush=True)
        status = forking.stdout.readline()
        text = out.read_text()
        assert status == "0\n", text + err.read_text()
    return json.loads(text.splitlines()[-1])


@functools.cache
def _forking(imports: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", FORKING, imports], env=_environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.stdin.close()
    process.wait()


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": path.rstrip(os.pathsep)}
