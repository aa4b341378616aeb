"""Run a script with the engines in a process of its own: they print, warn and change limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from workspace import ROOT

MODEL = ROOT / "examples" / "models" / "stdlib-llama-6m"


def run_script(code: str, *args: object) -> dict:
    """Run Python in a process of its own; it prints one JSON value as its last line."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": path.rstrip(os.pathsep)}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=env, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
