"""Planning starts fast and without an engine: importing any tool loads no heavy library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cortexbuild

PACKAGE = Path(cortexbuild.__file__).parent
HEAVY = (
    "torch", "mlx", "mlx_lm", "transformers", "numpy", "networkx", "huggingface_hub", "rich",
    "safetensors", "gguf", "llama_cpp", "requests", "urllib3", "obstore", "boto3", "cryptography", "zstandard", "distributed", "dask",
)  # fmt: skip


def test_no_module_of_ours_loads_an_engine_when_imported():
    folders = ("tools", "sources", "runtimes", "cli", "app", "core", "store", "exec")
    names = [
        f"cortexbuild.{folder}.{path.stem}"
        for folder in folders
        for path in (PACKAGE / folder).glob("[a-z]*.py")
    ]
    folder = PACKAGE / "exec" / "cluster"
    light = {path.stem for path in folder.glob("[a-z]*.py")} - {"connect", "serve", "site"}
    names += [f"cortexbuild.exec.cluster.{name}" for name in sorted(light)]
    assert len(names) > 40
    code = (
        f"import importlib, sys\nfor name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        f"    loaded = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "    assert not loaded, (name, loaded)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_sync_with_nothing_to_do_imports_no_client_of_a_remote_or_cluster(space):
    text = (space.root / "cortex.yaml").read_text()
    remotes = '["http://127.0.0.1:9/x", "s3://bucket/x", "file:///nowhere"]'
    text += 'executor: {dask: "tls://nowhere:8786"}\n'
    (space.root / "cortex.yaml").write_text(text + f"cache: {{remotes: {remotes}}}\n")
    space.run("keys", "new", "mine")
    space.run("sync", "--cache", "remote:off", "--executor", "local")
    code = (
        "import sys\nfrom cortexbuild.cli.main import main\nassert main(['sync']) == 0\n"
        f"loaded = [m for m in {HEAVY!r} if m in sys.modules and m != 'rich']\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=space.root, env=space.environment()
    )
