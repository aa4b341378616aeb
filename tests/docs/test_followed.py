"""Every page that tells somebody to run something is followed, with its commands run for real.

Models are small texts, and tools those of tests/plugin: recipes in the project stand before ours,
so `mlx-4bit` takes milliseconds. Remotes are nginx, an S3 and folders of this machine. The real
engines follow the README, in tests/engines/test_readme.py.
"""

from __future__ import annotations

import json
import shutil

import pytest
from docs.pages import SHELL, blocks
from docs.reader import Reader
from remotes import servers
from workspace import RECIPE, ROOT, Workspace, tiny_safetensors

from cortexbuild import runtimes

QUICK = ("mlx-4bit", "mlx-8bit", "mlx-bf16", "int8", "gguf-q4_k_m")
MANIFEST = """\
schema: 1
models:
  stdlib-llama:
    source: path:models/base
    targets: [mlx-4bit, mlx-8bit]
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


def test_follow_getting_started(reader):
    (reader.space.root / "cortex.yaml").unlink()
    reader.follow("docs/getting-started.md")
    assert "cortexbuild sync" in reader.ran
    assert (reader.space.root / "report.html").is_file()


def test_follow_the_store(reader):
    reader.space.sync()
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
