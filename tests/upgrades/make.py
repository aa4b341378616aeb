"""Write the stores that tests/upgrades/test_upgrades.py reads: `python tests/upgrades/make.py`.

Each is made by the cortexbuild of an older commit of this repository, run on a project of texts:
one sync, an edit of the manifest, and one more. What is kept are the home and the project, packed.
It needs git; it was run once for each.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from workspace import RECIPE, tiny_safetensors  # noqa: E402

COMMITS = {
    "first-store": "0c3a187",
    "first-lock": "38c4f8d",
    "limits": "33e252c",
    "first-roots": "94d1b4e",
    "before-sums": "59f2de4",
}
MANIFEST = """\
schema: 1
models:
  m:
    source: path:weights
    targets:
      t: {recipe: short, set: {keep: KEEP}}
      all: {recipe: short, set: {keep: 11}}
"""


def make(name: str, commit: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        code, project = base / "code", base / "project"
        subprocess.run(
            ["git", "worktree", "add", "--detach", str(code), commit], cwd=HERE, check=True
        )
        (project / "recipes").mkdir(parents=True)
        (project / "weights").mkdir()
        (project / "recipes" / "short.yaml").write_text(RECIPE)
        (project / "weights" / "config.json").write_text('{"text": "hello world"}')
        (project / "weights" / "model.safetensors").write_bytes(tiny_safetensors())
        paths = os.pathsep.join([str(code), str(HERE / "plugin")])
        env = {**os.environ, "PYTHONPATH": paths, "CORTEX_HOME": str(base / "home")}
        try:
            for keep in ("2", "4"):
                (project / "cortex.yaml").write_text(MANIFEST.replace("KEEP", keep))
                argv = [sys.executable, "-P", "-m", "cortexbuild", "sync"]
                subprocess.run(argv, cwd=project, env=env, check=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(code)], cwd=HERE)
        (project / "was-at").write_text(str(project))
        with tarfile.open(HERE / f"{name}.tar.xz", "w:xz") as tar:
            for part in ("home", "project"):
                tar.add(base / part, part, filter=_plain)
            note = f"{commit}\n".encode()
            info = tarfile.TarInfo("commit")
            info.size = len(note)
            tar.addfile(info, io.BytesIO(note))


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


if __name__ == "__main__":
    for name, commit in COMMITS.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            make(name, commit)
