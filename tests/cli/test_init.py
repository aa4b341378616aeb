"""`init` on machines with the folders of other programs: what it finds, and what it writes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from formats.checkpoints import gguf_bytes
from neighbours import DIGEST, put, put_in_hub, put_in_ollama
from workspace import tiny_safetensors

from cortexbuild.cli.commands import starting
from cortexbuild.cli.hardware import Hardware
from cortexbuild.cli.yaml.reading import read_yaml
from cortexbuild.core.manifest import Manifest
from cortexbuild.sources._found import found_models, hub_cache, ollama_homes
from cortexbuild.sources._found.ollama import find_ollama

COMMIT, OLD = "a" * 40, "c" * 40
CONFIG = b'{"model_type": "llama", "hidden_size": 8}'
WEIGHTS = {"config.json": CONFIG, "model.safetensors": tiny_safetensors()}


@pytest.fixture
def user(tmp_path):
    """Somebody who has used them all."""
    user = tmp_path / "user"
    hub = user / ".cache" / "huggingface" / "hub"
    put_in_hub(hub, "acme/Tiny-Chat", COMMIT, WEIGHTS, "main")
    put_in_hub(hub, "acme/Tiny-Chat", OLD, WEIGHTS, "v0")
    put_in_hub(hub, "acme/Tiny-GGUF", COMMIT, {"q/tiny.Q8_0.gguf": gguf_bytes([])}, "main")
    put_in_hub(hub, "acme/only-words", COMMIT, {"tokenizer.json": b"{}"}, "main")
    put(hub / "datasets--acme--text" / "snapshots" / COMMIT, {"a.safetensors": b""})
    ollama = user / ".ollama" / "models"
    put_in_ollama(ollama, "registry.ollama.ai/library/tiny/3b", gguf_bytes([]))
    put_in_ollama(ollama, "hf.co/acme/Tiny-GGUF/Q8_0", None, adapter=f"sha256:{DIGEST}")
    put_in_ollama(
        ollama, "registry.ollama.ai/library/gone/latest", None, model="sha256:" + "f" * 64
    )
    put_in_ollama(ollama, "registry.ollama.ai/me/odd/latest", None, model="../outside")
    put(ollama, {"outside": gguf_bytes([])})
    put(ollama / "manifests/registry.ollama.ai/library/torn", {"latest": b'{"layers": 1'})
    studio = user / ".lmstudio" / "models" / "acme"
    put(studio / "Tiny-GGUF", {"tiny-f16.gguf": gguf_bytes([]), "mmproj-tiny.gguf": b"GGUF"})
    put(studio / "Tiny-MLX", WEIGHTS)
    home = user / ".cortex"
    put(home / "mlx_models" / "mine", {**WEIGHTS, "fine_tuned.marker": b""})
    put(home / "models" / "acme--tiny", WEIGHTS)
    put(home / "quantized_models", {"0a1b.pt": b"\x80"})
    put(home / "build/v1/trees/1", WEIGHTS)
    (home / "mlx_models" / "m--t").symlink_to(home / "build/v1/trees/1")
    return user


def test_what_other_programs_keep_is_found_with_the_source_that_names_it(user):
    found = list(found_models(user / ".cortex", user, {}))
    blob = user / ".ollama/models/blobs" / f"sha256-{DIGEST}"
    assert [(one.where, one.name, one.source.replace(str(user), "~")) for one in found] == [
        ("Cortex", "models/acme--tiny", "path:~/.cortex/models/acme--tiny"),
        ("Cortex", "mlx_models/mine", "path:~/.cortex/mlx_models/mine"),
        ("Hugging Face cache", "acme/Tiny-Chat", f"hf:acme/Tiny-Chat@{COMMIT}"),
        ("Hugging Face cache", "acme/Tiny-GGUF/q/tiny.Q8_0.gguf", f"hf:acme/Tiny-GGUF@{COMMIT}/q/tiny.Q8_0.gguf"),
        ("Ollama", "acme/Tiny-GGUF:Q8_0", f"path:{blob}".replace(str(user), "~")),
        ("Ollama", "tiny:3b", f"path:{blob}".replace(str(user), "~")),
        ("LM Studio", "acme/Tiny-GGUF/tiny-f16.gguf", "path:~/.lmstudio/models/acme/Tiny-GGUF/tiny-f16.gguf"),
        ("LM Studio", "acme/Tiny-MLX", "path:~/.lmstudio/models/acme/Tiny-MLX"),
    ]  # fmt: skip
    notes = {one.name: " / ".join(one.notes) for one in found}
    assert notes["models/acme--tiny"] == "if it is from there: hf:acme/tiny"
    assert notes["mlx_models/mine"] == "fine-tuned here: nobody else has it"
    assert notes["acme/Tiny-Chat"] == "`main` when it was fetched"
    assert (
        "from hf:acme/Tiny-GGUF, its Q8_0 / its adapter is not part" in notes["acme/Tiny-GGUF:Q8_0"]
    )
    assert notes["acme/Tiny-MLX"] == "if it is from there: hf:acme/Tiny-MLX"


def test_where_the_caches_are_their_own_variables_say(tmp_path):
    assert hub_cache(tmp_path, {}) == tmp_path / ".cache/huggingface/hub"
    assert hub_cache(tmp_path, {"XDG_CACHE_HOME": "/x"}) == Path("/x/huggingface/hub")
    assert hub_cache(tmp_path, {"HF_HOME": "/h", "XDG_CACHE_HOME": "/x"}) == Path("/h/hub")
    assert hub_cache(tmp_path, {"HF_HUB_CACHE": "/c", "HF_HOME": "/h"}) == Path("/c")
    assert ollama_homes(tmp_path, {"OLLAMA_MODELS": "/o"}) == [Path("/o")]
    assert list(found_models(tmp_path, tmp_path, {"OLLAMA_MODELS": "/nowhere"})) == []


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("tiny:3b", "tiny:3b"),
        ("library/tiny:3b", "tiny:3b"),
        ("hf.co/acme/Tiny-GGUF:Q8_0", "acme/Tiny-GGUF:Q8_0"),
        ("tiny", None),
        ("gone", None),
        ("../../x", None),
        ("a/b/c/d", None),
    ],
)
def test_a_model_of_ollama_is_found_by_the_name_that_its_users_say(user, said, name):
    found = find_ollama(user / ".ollama" / "models", said)
    assert (found.name if found else None) == name


@pytest.fixture
def mine(space, user, monkeypatch):
    """The project of that person, who has a Mac; it has no cortex.yaml yet."""
    mac = Hardware("macOS on arm64, 8 cores", 16 << 30, "Metal", ("mlx",))
    monkeypatch.setattr(starting, "look", lambda: mac)
    (space.root / "cortex.yaml").unlink()
    space.home = user / ".cortex"
    space.env |= {"HOME": str(user), "HF_HOME": "", "HF_HUB_CACHE": "", "XDG_CACHE_HOME": ""}
    return space


def test_init_offers_what_is_there_as_comments_and_the_manifest_runs(mine):
    done = mine.run("init")
    text = (mine.root / "cortex.yaml").read_text()
    lines = text.splitlines()
    begin = lines.index("  # tiny-chat:") - 2
    assert lines[begin].startswith("  # Hugging Face cache, ")
    source = f"  #   source: hf:acme/Tiny-Chat@{COMMIT}"
    assert lines[begin + 1 : begin + 4] == [
        "  # `main` when it was fetched",
        "  # tiny-chat:",
        source,
    ]
    assert "#   source: path:~/.cortex/models/acme--tiny" in text
    assert "macOS on arm64, 8 cores, 16.0 GiB of memory, Metal; engines: mlx." in lines[1]
    assert "`mlx-4bit` is a good first target" in lines[2]
    assert "found  Ollama  tiny:3b" in done.stdout
    assert "has no models yet" in mine.run("sync").stderr
    assert not (mine.root / ".gitignore").exists()
    uncommented = text.replace("  # tiny:\n  #   ", "  tiny:\n    ").replace(
        "  #   targets", "    targets", 1
    )
    assert "tiny:\n    source: path:~/.cortex/models/acme--tiny\n    targets: [" in uncommented
    mine.write("cortex.yaml", uncommented)
    assert "tiny:" in mine.run("list").stdout


def test_init_takes_all_of_them_and_says_what_is_of_no_use(mine, user):
    put(user / ".lmstudio/models/acme/Bad\nmodels: {}\n#", {"model.safetensors": b"?"})
    put(
        user / ".lmstudio/models/acme/Broken",
        {"model-00001-of-00002.safetensors": tiny_safetensors()},
    )
    found = json.loads(mine.run("init", "--all", "--json").stdout)
    text = (mine.root / "cortex.yaml").read_text()
    models = {one["name"]: one for one in found["models"]}
    assert {"tiny", "tiny-3b", "tiny-chat", "tiny-mlx", "mine"} <= set(models)
    assert "00002-of-00002" in models["broken"]["problem"]
    assert "  # fine-tuned here: nobody else has it\n  mine:\n    source: path:~/.cortex/" in text
    assert "# - LM Studio, acme/Broken: " in text
    written = Manifest.parse(read_yaml(mine.root / "cortex.yaml", "cortex.yaml")).models
    assert list(written) == [one["name"] for one in found["models"] if one["recipe"]]
    assert written["mine"].targets.keys() == {"mlx-4bit"}


def test_init_never_writes_over_anything_and_has_git_leave_ours_out(mine):
    (mine.root / ".git").mkdir()
    mine.write(".gitignore", "dist")
    mine.run("init", "weights")
    assert (mine.root / ".gitignore").read_text() == "dist\n.cortex/\n"
    assert "source: path:weights" in (mine.root / "cortex.yaml").read_text()
    before = (mine.root / "cortex.yaml").read_bytes()
    assert "`cortexbuild add SOURCE`" in mine.run("init", "--all", code=2).stderr
    assert (mine.root / "cortex.yaml").read_bytes() == before
