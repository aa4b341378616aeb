"""Code that a model brings along is not run: it is not even fetched, and what loads it refuses.

It takes leave, which tests/app/test_allow_code.py gives and does not give; here are the engines.
"""

from __future__ import annotations

import json
import os
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
from cortexbuild.runtimes import load as load_by_format
known, unknown, named, own, elsewhere, canary = map(Path, sys.argv[1:])
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
said["canary"] = canary.exists()
try:
    load_by_format("safetensors", elsewhere, allow_code=True)
except ToolError as error:
    said["elsewhere"] = str(error)
said["canary, elsewhere"] = canary.exists()
model = load_by_format("safetensors", own, allow_code=True)
said["own"] = [type(model._model).__module__, model.logits([1, 2, 3]).shape[0], canary.exists()]
try:
    load_by_format("safetensors", own, allow_code=False)
except ToolError as error:
    said["own, without leave"] = error.hint
print(json.dumps(said))
"""
OWN = """
from transformers import LlamaConfig, LlamaForCausalLM
class Config(LlamaConfig):
    model_type = "evil"
class Model(LlamaForCausalLM):
    config_class = Config
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
    own = with_code(tmp_path / "own", canary, model_type="evil", architectures=["Evil"])
    (own / "evil.py").write_text(f"open({str(canary)!r}, 'w').close()\n{OWN}")
    (own / "tokenizer_config.json").unlink()
    (own / "tokenizer_config.json").symlink_to(MODEL / "tokenizer_config.json")
    asks = {"AutoConfig": "org/other--evil.Config", "AutoModelForCausalLM": "org/other--evil.Model"}
    elsewhere = with_code(tmp_path / "elsewhere", canary, model_type="evil", auto_map=asks)
    folders = map(str, (known, unknown, named, own, elsewhere, canary))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *folders], capture_output=True, text=True,
        env={**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert not said["canary"] and not said["canary, elsewhere"], said
    assert "asks for code of another repository, `org/other--evil.Config`" in said["elsewhere"]
    module, tokens, ran = said["own"]
    assert module.startswith("transformers_modules.own") and tokens == 3 and ran
    assert "`allow_code: true`" in said["own, without leave"]
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
