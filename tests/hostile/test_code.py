"""Code that a model brings along is not run: it is not even fetched, and what loads it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from workspace import ROOT

from cortexbuild.formats.files import model_files

MODEL = ROOT / "examples" / "models" / "stdlib-llama-6m"
SCRIPT = """
import json, sys
from pathlib import Path
from cortexbuild.errors import ToolError
from cortexbuild.runtimes.mlx import MlxModel
from cortexbuild.runtimes.pretrained import is_tied, load_model, load_tokenizer
known, unknown, named = map(Path, sys.argv[1:])
said = {}
for load, folder in (
    (load_tokenizer, known), (is_tied, known), (load_tokenizer, unknown), (load_model, unknown),
    (MlxModel, named),
):
    try:
        load(folder)
        said[f"{folder.name} {load.__name__}"] = "loaded"
    except (ToolError, ValueError) as error:
        said[f"{folder.name} {load.__name__}"] = str(error)
print(json.dumps(said))
"""


def with_code(folder: Path, canary: Path, **config: object) -> Path:
    """The shipped model, with a module that leaves a mark where it is imported."""
    folder.mkdir()
    for path in MODEL.iterdir():
        (folder / path.name).symlink_to(path)
    code = f"open({str(canary)!r}, 'w').close()\nclass Config: pass\nModel = ModelArgs = Tok = Config\n"
    for name in ("evil.py", "modeling_evil.py"):
        (folder / name).write_text(code)
    for name, more in (
        ("config.json", {"auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model",
                                      "AutoTokenizer": ["evil.Tok", None]}, **config}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Tok", None]}}),
    ):  # fmt: skip
        written = json.loads((folder / name).read_text()) | more
        (folder / name).unlink()
        (folder / name).write_text(json.dumps(written))
    return folder


@pytest.mark.engine
def test_no_engine_runs_the_code_of_a_model(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    known = with_code(tmp_path / "known", canary)
    unknown = with_code(tmp_path / "unknown", canary, model_type="evil", architectures=["Evil"])
    named = with_code(tmp_path / "named", canary, model_file="evil.py")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(known), str(unknown), str(named)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert not canary.exists(), said
    assert said["known load_tokenizer"] == "loaded" and said["unknown load_model"] != "loaded"
    assert "trust_remote_code" in said["named MlxModel"]


def test_code_is_none_of_a_models_files() -> None:
    files = [
        "config.json",
        "model.safetensors",
        "evil.py",
        "modeling_evil.py",
        "chat_templates/x.py",
    ]
    assert model_files(files) == ["config.json", "model.safetensors"]
