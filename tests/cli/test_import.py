"""`import`: what is carried over from the files of other programs, and what is told of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from workspace import tiny_safetensors

from cortexbuild.cli import hardware
from cortexbuild.cli.imports import KINDS, Desk, read_foreign
from cortexbuild.cli.imports.cortex import KEYS
from cortexbuild.errors import ManifestError, UsageError
from cortexbuild.sources._found import Found

MODELFILE = '''\
# our assistant
FROM ./weights
adapter ./lora
PARAMETER temperature 0.3
PARAMETER num_ctx 8192
PARAMETER mirostat 1
TEMPLATE """{{ .System }}
FROM is a word in here
{{ .Prompt }}"""
SYSTEM "You are brief."
MESSAGE user Hello
LICENSE Apache-2.0
'''

MODEL_YAML = """\
model: qwen/qwen3-8b
base:
  - key: lmstudio-community/qwen3-8b-gguf
    sources:
      - {type: huggingface, user: lmstudio-community, repo: Qwen3-8B-GGUF}
  - key: lmstudio-community/qwen3-8b-mlx
    sources:
      - {type: ftp, user: a, repo: b}
      - {type: huggingface, user: lmstudio-community, repo: Qwen3-8B-MLX-4bit}
  - qwen/other
metadataOverrides: {domain: llm}
config: {operation: {fields: []}}
newer: 1
"""

COMPOSE = """\
services: {app: {image: app, models: [llm]}}
models:
  llm:
    model: ai/smollm2
    context_size: 1024
  code: {model: "hf.co/acme/Coder-GGUF:Q4_K_M", runtime_flags: [--x]}
  plain: {model: huggingface.co/acme/plain}
"""

KITFILE = """\
manifestVersion: "1.0"
package: {name: film, authors: [me]}
model:
  name: Film SLM
  path: ./weights
  license: Apache-2.0
  description: "answers about film\\nand more"
  parameters: {a: 1}
  parts:
    - {path: ./lora, type: LoRA}
    - {path: ./tokenizer.json}
datasets: [{path: x.csv}]
code: [{path: src}]
"""

CORTEX = """\
model_path: ~/models
default_quantization: Q5_K_M
gpu_optimization_level: performance
auto_quantize: false
mlx_backend: true
supported_quantizations: [Q4_K_M, Q5_K_M]
max_loaded_models: 3
temperature: 0.7
ui_theme: dark
"""


def desk(folder: Path, name: str = "file", **ollama: Path) -> Desk:
    def find(said: str) -> Found | None:
        blob = ollama.get(said)
        return Found("Ollama", said, blob, f"path:{blob}", ("ollama's",)) if blob else None

    return Desk(name, folder, folder, find)


def read(text: str, folder: Path, kind: str = "", **ollama: Path):
    return read_foreign(text.encode(), desk(folder, **ollama), kind)


def left_of(carried) -> dict[str, str]:
    return {f"{one.place} {one.what}": one.why for one in carried.left}


def test_a_modelfile_gives_its_weights_and_adapters_and_names_the_rest(tmp_path):
    carried = read(MODELFILE, tmp_path)
    (entry,) = carried.entries
    assert (entry.name, entry.source, entry.adapters) == ("weights", "path:weights", ("path:lora",))
    left = left_of(carried)
    assert list(left) == [
        "file:4 PARAMETER temperature", "file:5 PARAMETER num_ctx", "file:6 PARAMETER mirostat",
        "file:7 TEMPLATE", "file:10 SYSTEM", "file:11 MESSAGE", "file:12 LICENSE",
    ]  # fmt: skip
    assert "`generate --temperature 0.3`" in left["file:4 PARAMETER temperature"]
    assert "context: 8192" in left["file:5 PARAMETER num_ctx"]
    assert "nothing like it" in left["file:6 PARAMETER mirostat"]


@pytest.mark.parametrize(
    ("said", "source", "left"),
    [
        ("FROM tiny:3b", "path:/blobs/x", ""),
        ("FROM llama3.2", None, "`ollama pull` it first"),
        ("FROM hf.co/acme/T-GGUF:Q8_0", "hf:acme/T-GGUF", "`hf:acme/T-GGUF/FILE.gguf`"),
        ("FROM hf.co/acme/T-GGUF", "hf:acme/T-GGUF", ""),
        ("FROM ~/m.gguf", "path:~/m.gguf", ""),
        ("FROM /m/x.gguf\nADAPTER a.gguf", "path:/m/x.gguf", "cannot be merged"),
        ("FROM m-*.gguf", "path:m-00001-of-00002.gguf", ""),
        ("FROM ./m-00001-of-00002.gguf\nFROM ./m-00002-of-00002.gguf", "path:m-00001-of-00002.gguf", ""),
        ("FROM a.gguf\nFROM b.gguf", "path:a.gguf", "one source"),
    ],
)  # fmt: skip
def test_what_a_modelfile_is_from(tmp_path, said, source, left):
    for number in (1, 2):
        (tmp_path / f"m-0000{number}-of-00002.gguf").touch()
    carried = read(said, tmp_path, **{"tiny:3b": Path("/blobs/x")})
    assert [entry.source for entry in carried.entries] == ([source] if source else [])
    assert left in " ".join(one.why for one in carried.left) if left else not carried.left


def test_a_model_yaml_gives_each_of_its_repositories(tmp_path):
    carried = read(MODEL_YAML, tmp_path)
    assert [(entry.name, entry.source) for entry in carried.entries] == [
        ("qwen3-8b-gguf", "hf:lmstudio-community/Qwen3-8B-GGUF"),
        ("qwen3-8b-mlx-4bit", "hf:lmstudio-community/Qwen3-8B-MLX-4bit"),
    ]
    assert carried.entries[1].notes == ("qwen/qwen3-8b, as lmstudio-community/qwen3-8b-mlx",)
    assert list(left_of(carried)) == [
        "file:8:9 source ftp", "file:10:5 base qwen/other", "file:11:1 metadataOverrides",
        "file:12:1 config", "file:13:1 newer",
    ]  # fmt: skip


def test_a_compose_file_gives_what_is_on_the_hub(tmp_path):
    carried = read(COMPOSE, tmp_path)
    sources = {entry.name: entry.source for entry in carried.entries}
    assert sources == {"code": "hf:acme/Coder-GGUF", "plain": "hf:acme/plain"}
    assert "no source" in left_of(carried)["file:3:3 llm: ai/smollm2"]
    assert sorted(one.what for one in carried.left) == [
        "`:Q4_K_M`", "code.runtime_flags", "llm.context_size", "llm: ai/smollm2", "services",
    ]  # fmt: skip


def test_a_kitfile_gives_its_model_with_adapters(tmp_path):
    carried = read(KITFILE, tmp_path)
    (entry,) = carried.entries
    assert (entry.name, entry.source, entry.adapters) == (
        "film-slm",
        "path:weights",
        ("path:lora",),
    )
    assert entry.notes == ("answers about film",)
    words = [one.what for one in carried.left]
    assert words == [
        "package", "datasets", "code", "model.license", "model.parameters", "part ./tokenizer.json",
    ]  # fmt: skip
    registry = read('manifestVersion: "1"\nmodel: {path: "jozu.ml/me/film:v1"}\n', tmp_path)
    assert not registry.entries and "`kit unpack`" in registry.left[0].why


def test_a_config_of_cortex_gives_its_models_and_its_policy(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("models/a/model.safetensors", "models/b.gguf", "models/c/d.gguf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(tiny_safetensors())
    project = tmp_path / "project"
    carried = read(CORTEX, project)
    assert [(entry.source, entry.recipe) for entry in carried.entries] == [
        ("path:~/models/a", "auto"), ("path:~/models/b.gguf", ""), ("path:~/models/c/d.gguf", ""),
    ]  # fmt: skip
    policy = {"quantization": "q5_k_m", "optimization": "maximum", "auto_quantize": False}
    assert carried.policy == policy
    words = [one.what for one in carried.left]
    assert words == ["supported_quantizations", "max_loaded_models", "temperature", "ui_theme"]
    one = read(
        CORTEX.replace("~/models", "~/models/a").replace("mlx_backend: true", "mlx_backend: no"),
        project,
    )
    assert [(entry.source, entry.recipe) for entry in one.entries] == [
        ("path:~/models/a", "auto-int")
    ]
    gone = read(CORTEX.replace("~/models", "~/nothing").replace("Q5_K_M\n", "Q6_K\n"), project)
    assert not gone.entries and "quantization" not in gone.policy
    assert [one.what for one in gone.left][:3] == [
        "default_quantization",
        "model_path",
        "mlx_backend",
    ]


def test_every_key_of_cortex_is_carried_over_or_named(tmp_path):
    text = "".join(f"{key}: true\n" for key in KEYS)
    carried = read(text, tmp_path, "cortex")
    named = {one.what for one in carried.left} | {"gpu_optimization_level", "auto_quantize"}
    assert named == set(KEYS)
    assert all(one.why for one in carried.left)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("FRM x\n", "", "file:1: no instruction `FRM`"),
        ("SYSTEM x\n", "", "file: a Modelfile says `FROM` what"),
        ("FROM x\nSYSTEM \"\"\"a\nb\n", "", 'file:2: `"""` is not closed'),
        ("FROM\n", "", "file:1: `FROM` what?"),
        ("x: 1\n", "", "file is none of the files that can be imported"),
        ("x: 1\n", "yaml", "no kind of file `yaml`"),
        ("FROM x\n", "compose", "file: expected a table, as a compose is"),
        ("models: {a: {}}\n", "", "file:1:10: models.a: `model:` says which"),
        ("services: {}\n", "", "no `models:`"),
        ("model: a/b\nbase: [{key: x}]\n", "", "file:2:8: a base is a name, or has"),
        ("manifestVersion: 1\nmodel: {name: x}\n", "", "`model:` has a `path:`"),
        ("manifestVersion: 1\nmodel: {path: x, parts: [y]}\n", "", "a part has a `path:`"),
        ("auto_quantize: often\n", "", "file:1:1: auto_quantize: expected true or false"),
        ("a: [\n", "compose", "file:2:1: not YAML"),
    ],
)  # fmt: skip
def test_a_mistake_has_a_place(tmp_path, text, kind, said):
    with pytest.raises((ManifestError, UsageError)) as error:
        read(text, tmp_path, kind)
    assert said in str(error.value)


@pytest.fixture
def mac(space, monkeypatch):
    here = hardware.Hardware("macOS", 16 << 30, "Metal", ("mlx",))
    monkeypatch.setattr(hardware, "look", lambda: here)
    space.write("weights/config.json", '{"model_type": "llama", "hidden_size": 8}')
    return space


def test_what_is_carried_over_is_written_with_its_lock_and_comments_stay(mac):
    manifest = "# ours\nschema: 1\nmodels: {} # none\n"
    mac.write("cortex.yaml", manifest)
    mac.write("Modelfile", MODELFILE.replace("adapter ./lora\n", ""))
    before = mac.run("import", "Modelfile", "--dry-run")
    assert "would be in cortex.yaml" in before.stderr
    assert (mac.root / "cortex.yaml").read_text() == manifest
    done = mac.run("import", "Modelfile")
    assert "carried over  weights  path:weights" in done.stdout
    assert "left out  Modelfile:3  PARAMETER temperature: it is about running" in done.stdout
    assert (mac.root / "cortex.yaml").read_text() == (
        "# ours\nschema: 1\nmodels: # none\n  # from Modelfile\n  weights:\n"
        "    source: path:weights\n    targets: [mlx-4bit]\n"
    )
    assert "path:weights" in (mac.root / "cortex.lock").read_text()
    again = json.loads(mac.run("import", "Modelfile", "--json").stdout)
    assert [one["name"] for one in again["models"]] == ["weights-2"]


def test_what_cannot_be_pinned_is_left_and_the_rest_is_carried(mac):
    (mac.root / "cortex.yaml").unlink()
    mac.write("compose.yaml", COMPOSE)
    mac.run("import", "compose.yaml", "--no-lock")
    text = (mac.root / "cortex.yaml").read_text()
    assert "  # model hf.co/acme/Coder-GGUF:Q4_K_M\n  # from compose.yaml\n  code:\n" in text
    assert not (mac.root / "cortex.lock").exists()
    mac.write("cortex.yaml", "schema: 1\nmodels: {}\npolicy: {}\n")
    mac.write("config.yaml", CORTEX.replace("~/models", "weights"))
    mac.write("weights/model.safetensors", tiny_safetensors())
    found = json.loads(mac.run("import", "config.yaml", "--json").stdout)
    assert [one["source"] for one in found["models"]] == ["path:weights"]
    assert found["policy"] == {}
    assert "has a `policy:` of its own" in json.dumps(found["left"])
    mac.write("Modelfile", "FROM ./gone.gguf\n")
    done = mac.run("import", "Modelfile")
    assert "gone.gguf does not exist" in done.stdout and "carried over" not in done.stdout


def test_a_file_that_is_not_there_is_no_manifest_to_begin(space):
    assert "init" not in space.run("import", "gone", code=2).stderr


def test_every_kind_can_be_named():
    assert set(KINDS) == {"modelfile", "model.yaml", "compose", "kitfile", "cortex"}
