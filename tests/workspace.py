"""A project, a home, and the command line as a user has it."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "tests" / "plugin"
CLI = [sys.executable, "-P", "-m", "cortexbuild"]


def tiny_safetensors(values: bytes = b"\0\0\0\0", dtype: str = "U8") -> bytes:
    width = {"U8": 1, "F32": 4}[dtype]
    tensor = {"dtype": dtype, "shape": [len(values) // width], "data_offsets": [0, len(values)]}
    header = json.dumps({"w": tensor}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + values


FEW = "evaluation: {text: builtin:evaluation, tokens: 64}\n"
"""A line for a manifest whose models are tried on as little as that."""

RECIPE = """\
schema: 1
summary: a short text
steps:
  - {do: convert, tool: text}
  - {do: quantize, tool: text, set: {keep: 4}}
  - {do: validate, tool: text}
"""


@dataclass
class Workspace:
    """A project whose models are texts, and a home. Commands run as a user runs them; those of an
    `inside` one in this process, which spares half a second each, but for those that are `apart`.
    Steps have theirs in any case."""

    root: Path
    home: Path
    env: dict[str, str] = field(default_factory=dict)
    inside: bool = False
    apart: tuple[str, ...] = ()

    def write(self, path: str, text: str | bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    def manifest(self, **targets: dict) -> None:
        """Targets of the one model `m`: settings that differ from the recipe's, by name."""
        rows = [
            f"      {name}: {{recipe: short, set: {json.dumps(settings)}}}"
            for name, settings in (targets or {"t": {}}).items()
        ]
        self.write(
            "cortex.yaml",
            "\n".join(
                [
                    "schema: 1",
                    "models:",
                    "  m:",
                    "    source: path:weights",
                    "    targets:",
                    *rows,
                    "",
                ]
            ),
        )

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(PLUGIN), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        base = {**os.environ, "CORTEX_HOME": str(self.home), "PYTHONPATH": path, "NO_COLOR": "1"}
        base.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes: compile us once
        return base | self.env

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*CLI, *args], cwd=self.root, env=self.environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # A shell starts what it puts in the background with interrupts ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    def run(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command; its exit code must be `code`."""
        if self.inside and "PYTHONPATH" not in self.env and not {*args[:1]} & {*self.apart}:
            done = self._run_inside(args)
        else:
            with self.start(*args) as process:
                out, err = process.communicate(timeout=300)
            done = subprocess.CompletedProcess(args, process.returncode, out, err)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def outcome(self, *args: str) -> tuple[int, str]:
        """The exit code of a command in this process, and all that it says on stderr."""
        done = self._run_inside(args)
        return done.returncode, done.stderr

    def _run_inside(self, args: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        from cortexbuild.cli.main import main

        here, before, path = Path.cwd(), dict(os.environ), list(sys.path)
        handler = signal.getsignal(signal.SIGTERM)
        environment = self.environment()
        os.chdir(self.root)
        os.environ.clear()
        os.environ.update(environment)
        sys.path.append(str(PLUGIN))
        try:
            with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
                try:
                    code = main(list(args))
                except SystemExit as end:  # of argparse
                    code = int(end.code or 0)
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(before)
            sys.path[:] = path
            signal.signal(signal.SIGTERM, handler)
        return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())

    def outputs(self, calls: list[list[str]]) -> list[str]:
        """What each of several commands says on stdout; in one process, that loads engines once."""
        code = (
            "import contextlib, io, json, sys\nfrom cortexbuild.cli.main import main\nsaid = []\n"
            "for call in json.loads(sys.argv[1]):\n"
            "    with contextlib.redirect_stdout(io.StringIO()) as out:\n"
            "        assert main(call) == 0, call\n"
            "    said.append(out.getvalue())\n"
            "print(json.dumps(said))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(calls)], cwd=self.root,
            env=self.environment(), capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        said: list[str] = json.loads(done.stdout.splitlines()[-1])
        return said

    def sync(self, *args: str, code: int = 0) -> list[str]:
        """The kinds of step that ran, in the order they ended: `m:t/quantize` is `quantize`."""
        return [step.rpartition("/")[2] for step in self.steps(*args, code=code)]

    def steps(self, *args: str, code: int = 0) -> list[str]:
        report = self.report(*args, code=code)
        return [s["step"] for s in report["steps"] if s["change"] == "built"]

    def report(self, *args: str, code: int = 0) -> dict:
        return json.loads(self.run("sync", "--json", "-j", "2", *args, code=code).stdout)

    def view(self, target: str = "m--t") -> Path:
        return self.home / "quantized_models" / target

    def text(self, target: str = "m--t") -> str:
        return (self.home / "quantized_models" / target / "model.txt").read_text()

    @property
    def store(self) -> Path:
        return self.home / "build" / "v1"

    def blobs(self) -> list[Path]:
        return sorted(p for p in (self.store / "cas").rglob("*") if p.is_file())

    def debris(self) -> list[str]:
        return [p.name for p in (self.store / "tmp").iterdir()]
