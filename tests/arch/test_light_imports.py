"""Planning starts fast and without an engine: importing any tool loads no heavy library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cortexbuild

PACKAGE = Path(cortexbuild.__file__).parent
HEAVY = (
    "torch", "mlx", "mlx_lm", "transformers", "numpy", "networkx", "huggingface_hub", "rich",
    "safetensors", "gguf", "llama_cpp", "requests", "urllib3",
)  # fmt: skip


def test_no_module_of_ours_loads_an_engine_when_imported():
    folders = ("tools", "sources", "runtimes", "cli", "app", "core", "store", "exec")
    names = [
        f"cortexbuild.{folder}.{path.stem}"
        for folder in folders
        for path in (PACKAGE / folder).glob("[a-z]*.py")
    ]
    assert len(names) > 40
    code = (
        f"import importlib, sys\nfor name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        f"    loaded = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "    assert not loaded, (name, loaded)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
