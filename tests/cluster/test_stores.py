"""Workers whose stores are not the client's: contents go by a shared cache, or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cluster.farm import project
from remotes import servers
from remotes.conftest import needs_nginx
from workspace import Workspace


@pytest.fixture(params=["folder", pytest.param("http", marks=needs_nginx)])
def remote(request, tmp_path):
    if request.param == "folder":
        (tmp_path / "shared").mkdir()
        yield f"file://{tmp_path / 'shared'}"
    else:
        with servers.plain_nginx(tmp_path / "nginx") as url:
            yield url


def built_here(space: Workspace) -> Workspace:
    """The same project, built by one machine alone."""
    other = Workspace(space.root.parent / "alone", space.root.parent / "alone-home", inside=True)
    shutil.copytree(space.root, other.root, ignore=shutil.ignore_patterns(".cortex"))
    other.run("sync", "--executor", "local", "--cache", "remote:off")
    return other


def files(space: Workspace) -> dict[str, bytes]:
    folder = space.home / "quantized_models"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.glob("*/*") if p.is_file()}


def joined(space: Workspace) -> list[Path]:
    """The long text, which lies between the source and all targets."""
    source = json.loads((space.root / "weights/config.json").read_text())["text"].upper()
    return [path for path in space.blobs() if path.read_bytes() == source.encode()]


def test_targets_are_those_of_one_machine_and_nothing_else_comes_here(farm, remote, tmp_path):
    space = project(tmp_path, farm, remote, t={}, u={"keep": 3}, v={"keep": 5})
    if remote.startswith("http"):
        text = (space.root / "cortex.yaml").read_text()
        (space.root / "cortex.yaml").write_text(text.replace(", unsigned: true", ""))
        space.run("keys", "new", "mine")
    report = space.report("--cache", "remote:rw")
    assert report["summary"]["built"] == 3 + 3 + 3
    assert files(space) == files(built_here(space)) and len(files(space)) == 3
    assert not joined(space), "what was joined has come here"
    homes = [farm.home(name) for name in ("ann", "bob", "cid")]
    assert [h for h in homes if list(h.glob("build/v1/cas/sha256/*/*"))], "no worker did anything"
    logs = sorted(path.name for path in space.home.glob("build/v1/runs/*/*.log"))
    assert "m-convert.log" in logs and len(logs) >= 9
    log = next(space.home.glob("build/v1/runs/*/m-convert.log")).read_text()
    assert log == "joined\n"
    assert space.run("sync").stderr.startswith("3 targets: nothing to do")
    more = space.root / "cortex.yaml"
    more.write_text(more.read_text().replace('"keep": 3', '"keep": 6'))
    assert space.sync("--cache", "remote:rw") == ["quantize", "validate"]
    assert not joined(space)


def test_without_a_way_for_contents_nothing_starts(farm, tmp_path):
    space = project(tmp_path, farm)
    said = space.run("sync", code=2).stderr
    assert "no worker can be used. ann, bob, cid: its store is not this machine's" in said
    assert "run-on-a-cluster" in said and not space.blobs()


def test_a_step_that_no_worker_can_run_is_told_before_any_runs(farm, tmp_path):
    (tmp_path / "shared").mkdir()
    remote = f"file://{tmp_path / 'shared'}"
    space = project(tmp_path, farm, remote, t={}, large={"gibibytes": 8})
    report = space.report("-k", "--cache", "remote:rw", code=1)
    made = {step["step"]: step["change"] for step in report["steps"]}
    assert made["m:large/quantize"] == "failed" and made["m:large/validate"] == "skipped"
    assert made["m:t/quantize"] == "built"
    failed = json.dumps(report)
    assert "ann, bob, cid: it has 4.00 GiB of memory for steps, and this needs about 8.06" in failed


def test_steps_go_where_the_lock_s_versions_are(farm, tmp_path):
    (tmp_path / "shared").mkdir()
    space = project(tmp_path, farm, f"file://{tmp_path / 'shared'}")
    (space.home).mkdir()
    (space.home / "text-version").write_text("9.9")
    said = space.run("sync", "--cache", "remote:rw", code=1).stderr
    assert "ann, bob, cid: text 1.0 is here, and cortex.lock has text 9.9" in said
    assert not space.blobs(), "something ran"


def test_a_cluster_of_this_machine_alone_needs_nothing_else(space):
    assert space.sync("--executor", "dask") == [
        "fetch",
        "detect",
        "convert",
        "quantize",
        "validate",
    ]
    assert space.text() == "HELL"
    assert space.run("sync").stderr.startswith("1 target: nothing to do")
    said = space.run("sync", "--executor", "local", "--scheduler", "tls://x:1", code=2).stderr
    assert "`--scheduler` is for `--executor dask`" in said
