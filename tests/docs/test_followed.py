"""Every page that tells somebody to run something is followed, with its commands run for real.

Models are small texts, and tools those of tests/plugin: recipes in the project stand before ours,
so `mlx-4bit` takes milliseconds. Remotes are nginx, an S3 and folders of this machine. The real
engines follow the README, in tests/engines/test_readme.py.
"""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest
from docs.pages import SHELL, blocks
from docs.reader import Reader
from exports.test_ollama import fields, gguf
from hub import Hub
from neighbours import put, put_in_ollama
from remotes import servers
from workspace import RECIPE, ROOT, Workspace, tiny_safetensors

from cortexbuild import runtimes
from cortexbuild.cli.doctor import home

QUICK = ("mlx-4bit", "mlx-8bit", "mlx-bf16", "int8", "gguf-q4_k_m")
MANIFEST = """\
schema: 1
models:
  stdlib-llama:
    source: path:models/base
    targets: [mlx-4bit, mlx-8bit]
"""
SERVERS = ROOT / "tests/docs/servers"
EXAMPLE = ROOT / "examples/models/stdlib-llama-6m"
KEPT = """\
schema: 1
summary: what a source in this format is already
steps:
  - {do: convert, tool: gguf, set: {dtype: f16}}
  - {do: quantize, tool: gguf, set: {type: Q8_0}}
lossless:
  - {from: gguf-q8_0}
"""
ELSEWHERE = {"README.md": "tests/engines/test_readme.py"}


@pytest.fixture
def reader(tmp_path, monkeypatch) -> Reader:
    space = Workspace(tmp_path / "project", tmp_path / "home", inside=True)
    for name in QUICK:
        space.write(f"recipes/{name}.yaml", RECIPE)
    space.write("models/base/config.json", '{"text": "import os"}')
    space.write("models/base/model.safetensors", tiny_safetensors(bytes(64), "F32"))
    space.write("cortex.yaml", MANIFEST)
    monkeypatch.setattr(
        runtimes, "__path__", [*runtimes.__path__, str(ROOT / "tests" / "docs" / "runtimes")]
    )
    for name in ("CORTEX_CACHE", "CORTEX_SIGNING_KEY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return Reader(space, monkeypatch)


@pytest.fixture
def writer(reader) -> Reader:
    """A reader who has made a key already, as another page says."""
    reader.space.run("keys", "new", "ci-2026")
    secret = reader.space.run("keys", "export", "ci-2026", "--secret").stdout.strip()
    reader.patch.setenv("CORTEX_SIGNING_KEY", secret)
    reader.changes["CORTEX_SIGNING_KEY=…"] = f"CORTEX_SIGNING_KEY={secret}"
    reader.changes["ci-2026:BASE64"] = reader.space.run("keys", "export", "ci-2026").stdout.strip()
    return reader


def test_every_page_with_commands_is_followed():
    here = {name for name in globals() if name.startswith("test_follow_")}
    told = {block.page for block in blocks(*SHELL) if not block.why} - set(ELSEWHERE)
    assert {_name(page) for page in told} == here


def _name(page: str) -> str:
    return "test_follow_" + page.rpartition("/")[2].removesuffix(".md").replace("-", "_")


def test_follow_getting_started(reader, tmp_path):
    """On a machine where Ollama and LM Studio have models, with a Hub that has the example."""
    user = tmp_path / "me"
    words = json.loads((EXAMPLE / "config.json").read_text()) | {"text": "import os"}
    model = {path.name: path.read_bytes() for path in EXAMPLE.iterdir()}
    model["config.json"] = json.dumps(words).encode()
    blob = gguf(fields())
    put_in_ollama(user / ".ollama/models", "registry.ollama.ai/library/stdlib-llama/6m", blob)
    put(user / ".lmstudio/models/acme/stdlib-llama-6m", model)
    reader.space.env |= {"HOME": str(user), "HF_HOME": "", "HF_HUB_CACHE": "", "XDG_CACHE_HOME": ""}
    reader.apart = ("cortexbuild add hf:",)
    if sys.platform == "darwin":  # what suits a Mac, and one more
        reader.changes |= {":mlx-4bit": ":ONE", "gguf-q4_k_m": "mlx-4bit", ":ONE": ":gguf-q4_k_m"}
    (reader.space.root / "cortex.yaml").unlink()
    with Hub() as hub:
        hub.commit("acme/stdlib-llama-6m", model)
        reader.space.env |= {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
        reader.follow("docs/getting-started.md")
    built = reader.space.view("stdlib-llama-6m--mlx-4bit") / "model.txt"
    assert "cortexbuild sync" in reader.ran and built.read_text() == "IMPO"


def test_follow_import(reader):
    base = reader.space.root / "models" / "base"
    (reader.space.root / "weights").symlink_to(base)
    (reader.space.root / "cortex.yaml").unlink()
    reader.follow("docs/guides/import.md")
    assert "source: path:weights" in (reader.space.root / "cortex.yaml").read_text()


def test_follow_export_and_serve(reader, tmp_path):
    """What is a GGUF file was one before; what is served and published is words."""
    reader.space.write("models/base.gguf", gguf(fields()))
    reader.space.write("recipes/gguf-q8_0.yaml", KEPT)
    models = {
        "stdlib-llama": {"source": "path:models/base.gguf", "targets": ["gguf-q8_0"]},
        "words": {"source": "path:models/base", "targets": ["mlx-4bit"]},
    }
    reader.space.write("cortex.yaml", json.dumps({"schema": 1, "models": models}))
    reader.space.env |= {"HOME": str(tmp_path / "me"), "HF_HOME": "", "HF_TOKEN": "hf_writer"}
    reader.patch.setenv("PYTHONPATH", f"{SERVERS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    served = "cortexbuild serve --port 0 words:mlx-4bit"
    reader.changes |= {
        "cortexbuild serve stdlib-llama:mlx-4bit": served,
        "stdlib-llama:mlx-4bit": "words:mlx-4bit",
    }
    published = "cortexbuild push-to-hub words:mlx-4bit me/stdlib-llama-4bit --private"
    reader.apart, reader.fail = (published,), {served: 1}  # this server ends before Ctrl-C
    reader.space.run("sync")
    with Hub(tokens={"hf_writer"}) as hub:
        reader.space.env |= {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}
        reader.follow("docs/guides/export-and-serve.md")
    assert hub.repos["me/stdlib-llama-4bit"].private
    assert list((tmp_path / "me/.ollama/models/blobs").iterdir())


def test_follow_when_something_fails(reader, tmp_path):
    chat = {"source": "path:models/base", "targets": {"laptop": {"recipe": "mlx-4bit"}}}
    chat["targets"]["laptop"]["set"] = {"fail": "kill"}
    reader.space.write("cortex.yaml", json.dumps({"schema": 1, "models": {"chat": chat}}))
    reader.space.env |= {"HOME": str(tmp_path / "me"), "PATH": str(tmp_path)}  # no compiler
    reader.fail = {"cortexbuild sync": 1, "cortexbuild doctor": 1}
    reader.patch.setattr(home, "FEW", 1 << 60)
    reader.follow("docs/guides/when-something-fails.md")


def test_follow_the_store(reader):
    reader.space.run("sync")
    reader.follow("docs/concepts/the-store.md")
    assert len(reader.ran) == 5


def test_follow_share_a_cache(reader, tmp_path):
    (tmp_path / "mnt").mkdir()
    reader.changes["file:///mnt/models/cortex"] = (tmp_path / "mnt").as_uri()
    reader.follow("docs/guides/share-a-cache.md")
    assert list((tmp_path / "mnt" / "ac").rglob("*")), "nothing was pushed"


def test_follow_share_a_cache_with_nfs(writer, tmp_path):
    writer.changes["/mnt/models/cortex"] = str(tmp_path / "cortex")
    writer.follow("docs/guides/share-a-cache-with-nfs.md")
    assert list((tmp_path / "cortex" / "ac").rglob("*")), "nothing was pushed"


@pytest.mark.skipif(servers.find_nginx() is None, reason="no nginx: `make nginx`, or set NGINX")
def test_follow_share_a_cache_with_nginx(writer, tmp_path):
    with servers.tls_nginx(tmp_path / "nginx") as url:
        writer.changes |= {
            "https://cache.example/cortex": url,
            "certs/ca.pem": str(tmp_path / "nginx" / "ca.pem"),
            "PASSWORD=…": f"PASSWORD={servers.PASSWORD}",
        }
        writer.follow("docs/guides/share-a-cache-with-nginx.md")
        assert list((tmp_path / "nginx" / "srv" / "cortex" / "ac").rglob("*"))


def test_follow_share_a_cache_with_s3(writer, tmp_path):
    with servers.moto(tmp_path, "team-models") as endpoint:
        writer.patch.setenv("AWS_ENDPOINT_URL", endpoint)
        writer.patch.setenv("AWS_ACCESS_KEY_ID", "someone")
        writer.patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        writer.patch.setenv("AWS_REGION", "eu-central-1")
        writer.follow("docs/guides/share-a-cache-with-s3.md")
        again = json.loads(writer.space.run("push", "--json").stdout)["remotes"]["team-models"]
        assert (again["records"], again["there"]) == (0, 7), "sync did not send what it made"


def test_follow_use_in_ci(reader):
    reader.follow("docs/guides/use-in-ci.md")
    assert len(reader.ran) == 2


def test_follow_run_on_a_cluster(reader):
    reader.follow("docs/guides/run-on-a-cluster.md")
    assert (reader.space.root / "certs" / "mac-1.pem").exists()


def test_follow_write_a_recipe(reader):
    (reader.space.root / "recipes" / "mlx-4bit.yaml").unlink()
    shutil.rmtree(reader.space.root / "models" / "base")
    (reader.space.root / "models" / "base").symlink_to(ROOT / "examples/models/stdlib-llama-6m")
    reader.follow("docs/guides/write-a-recipe.md")
    assert "careful-4bit" in reader.space.run("recipes").stdout
    targets = json.dumps({"base": {"source": "path:models/base", "targets": ["careful-4bit"]}})
    reader.space.write("cortex.yaml", f"schema: 1\nmodels: {targets}\n")
    assert "careful-4bit/quantize" in reader.space.run("plan").stdout


def test_follow_add_a_tool(reader):
    reader.follow("docs/guides/add-a-tool.md")
    assert "base:half/quantize" in reader.space.run("plan", "--json").stdout
