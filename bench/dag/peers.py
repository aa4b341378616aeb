"""The other tools. Each is told the same steps, in its own way, and configured as well as it can
be: ninja and Snakemake as their manuals show it, doit and DVC with contents compared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from workload import MARKS, Marks, head, name_of, steps, tail

FOLDER = Path(os.environ.get("BENCH_PEERS", Path.home() / ".cache" / "cortexbuild-bench"))
PACKAGES = ("doit==0.37.0", "snakemake==9.27.1", "dvc==3.67.1", "ninja==1.13.2")


class Peer:
    """Files in `src/`, results in `out/`, and `step` (step.c) as the command of every step."""

    name, keeps, jobs = "", False, 2
    version: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    plan: tuple[str, ...] | None = None
    listing: tuple[str, ...] | None = None
    keep_going: tuple[str, ...] = ()

    @property
    def again(self) -> tuple[str, ...]:
        return self.build

    def why(self, model: int) -> tuple[str, ...] | None:
        del model
        return None

    def environment(self, work: Path) -> Mapping[str, str]:
        del work
        return {"PATH": f"{FOLDER / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def prepare(self, work: Path, models: int) -> None:
        (work / "src").mkdir()
        shutil.copy2(FOLDER / "step", work / "step")
        for model in range(models):
            self.change(work, model, 0)

    def manifest(self, work: Path, models: int, marks: Marks) -> None:
        raise NotImplementedError

    def change(self, work: Path, model: int, salt: int) -> None:
        (work / "src" / name_of(model)).write_bytes(head(model, salt) + tail(model))

    def change_tail(self, work: Path, model: int, salt: int) -> None:
        path = work / "src" / name_of(model)
        path.write_bytes(path.read_bytes()[: len(head(model))] + tail(model, salt))

    def steps_run(self, work: Path, said: Sequence[str] = ()) -> int:
        """How many have run since this was asked last."""
        del said  # the steps themselves tell
        log = work / "ran.log"
        count = len(log.read_bytes().splitlines()) if log.exists() else 0
        log.unlink(missing_ok=True)
        return count

    def output(self, work: Path, model: int, mark: str) -> Path:
        return work / "out" / name_of(model) / mark

    def lose_outputs(self, work: Path) -> None:
        shutil.rmtree(work / "out")

    def cached(self, work: Path, content: bytes) -> list[Path]:
        del work, content
        return []

    def slow_down(self, work: Path, milliseconds: int) -> Mapping[str, str]:
        del work
        return {"STEP_SLEEP_MS": str(milliseconds)}

    def let_fail(self, work: Path, models: int, model: int, mark: str) -> Mapping[str, str]:
        del work, models
        return {"STEP_FAIL": f"{name_of(model)}/{mark}"}

    def as_usual(self, work: Path) -> None:
        """Nothing was laid down."""


class Ninja(Peer):
    name = "ninja"
    version = ("ninja", "--version")
    build = ("ninja", "-j2", "--quiet")
    plan = ("ninja", "-n")
    keep_going = ("-k", "0")

    def why(self, model: int) -> tuple[str, ...] | None:
        return ("ninja", "-n", "-d", "explain", f"out/{name_of(model)}/q4.ok")

    def manifest(self, work: Path, models: int, marks: Marks) -> None:
        lines = ["rule step", "  command = ./step $kind $out $mark $in", "  restat = 1"]
        for step in steps(models, marks):
            lines.append(f"build {step.out}: step {' '.join(step.inputs)}")
            lines += [f"  kind = {step.kind}", f"  mark = {step.mark}"]
        (work / "build.ninja").write_text("\n".join(lines) + "\n")


class Doit(Peer):
    name = "doit"
    version = ("doit", "--version")
    build = ("doit", "run", "-n", "2", "-P", "thread")
    again = ("doit", "run")
    plan = ("doit", "list", "--all", "--status", "-q")
    listing = plan
    keep_going = ("--continue",)
    TASKS = """\
import json
from doit.tools import config_changed
DOIT_CONFIG = {"verbosity": 0, "reporter": "zero"}
def task_s():
    for name, kind, out, mark, inputs in json.load(open("steps.json")):
        command = ["./step", kind, out, mark, *inputs]
        yield {"name": name, "actions": [command], "file_dep": inputs, "targets": [out],
               "uptodate": [config_changed(mark)]}
"""

    def why(self, model: int) -> tuple[str, ...] | None:
        return ("doit", "info", f"s:validate-{name_of(model)}-q4")

    def manifest(self, work: Path, models: int, marks: Marks) -> None:
        (work / "steps.json").write_text(json.dumps(list(steps(models, marks))))
        (work / "dodo.py").write_text(self.TASKS)


class Snakemake(Peer):
    name = "snakemake"
    version = ("snakemake", "--version")
    build = ("snakemake", "-c", "2", "--quiet", "all")
    plan = ("snakemake", "-n", "-c", "1", "--quiet")
    listing = ("snakemake", "--summary")
    keep_going = ("--keep-going",)
    RULES = """\
import json
SAID = json.load(open("marks.json"))
rule all:
    input: expand("out/{m}/{q}.ok", m=SAID["models"], q=SAID["usual"])
rule fetch:
    input: "src/{m}"
    output: "out/{m}/fetch"
    shell: "./step fetch {output} - {input}"
rule detect:
    input: "out/{m}/fetch"
    output: "out/{m}/detect"
    shell: "./step detect {output} - {input}"
rule convert:
    input: "out/{m}/fetch", "out/{m}/detect"
    output: "out/{m}/convert"
    shell: "./step convert {output} - {input}"
rule quantize:
    input: "out/{m}/convert"
    output: "out/{m}/{q,q[458]}"
    params: mark=lambda w: SAID["marks"].get(f"{w.m}/{w.q}", w.q)
    shell: "./step quantize {output} {params.mark} {input}"
rule validate:
    input: "out/{m}/{q}"
    output: "out/{m}/{q,q[458]}.ok"
    shell: "./step validate {output} - {input}"
"""

    def environment(self, work: Path) -> Mapping[str, str]:
        return {**super().environment(work), "XDG_CACHE_HOME": str(work / ".cache")}

    def why(self, model: int) -> tuple[str, ...] | None:
        return ("snakemake", "-n", "-c", "1", f"out/{name_of(model)}/q4.ok")

    def manifest(self, work: Path, models: int, marks: Marks) -> None:
        named = {f"{name_of(model)}/{mark}": said for (model, mark), said in marks.items()}
        said = {"models": [name_of(n) for n in range(models)], "usual": MARKS, "marks": named}
        (work / "marks.json").write_text(json.dumps(said))
        (work / "Snakefile").write_text(self.RULES)


class Dvc(Peer):
    name, keeps, jobs = "dvc", True, 1
    version = ("dvc", "--version")
    build = ("dvc", "repro", "-q")
    plan = ("dvc", "repro", "--dry")
    listing = ("dvc", "status")
    keep_going = ("--keep-going",)

    def environment(self, work: Path) -> Mapping[str, str]:
        own = {"DVC_SITE_CACHE_DIR": str(work / ".site"), "DVC_GLOBAL_CONFIG_DIR": str(work / ".g")}
        return {**super().environment(work), **own, "DVC_NO_ANALYTICS": "1"}

    def prepare(self, work: Path, models: int) -> None:
        super().prepare(work, models)
        for words in ("init --no-scm -q", "config core.check_update false"):
            environment = {**os.environ, **self.environment(work)}
            subprocess.run(["dvc", *words.split()], cwd=work, env=environment, check=True)

    def manifest(self, work: Path, models: int, marks: Marks) -> None:
        stages = {
            step.name: {
                "cmd": f"./step {step.kind} {step.out} {step.mark} {' '.join(step.inputs)}",
                "deps": step.inputs,
                "outs": [step.out],
            }
            for step in steps(models, marks)
        }
        (work / "dvc.yaml").write_text(json.dumps({"stages": stages}))  # JSON is YAML

    def cached(self, work: Path, content: bytes) -> list[Path]:
        blobs = (work / ".dvc" / "cache" / "files").rglob("*")
        return [path for path in blobs if path.is_file() and path.read_bytes() == content]


def install() -> None:
    """Once: their packages in an environment of their own, and the step of all of them."""
    if not (FOLDER / "bin" / "python").exists():
        subprocess.run(["python3", "-m", "venv", str(FOLDER)], check=True)
        pip = [str(FOLDER / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True)
    source = Path(__file__).with_name("step.c")
    subprocess.run(["cc", "-O2", "-o", str(FOLDER / "step"), str(source)], check=True)
