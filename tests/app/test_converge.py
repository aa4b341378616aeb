"""`sync --prune`, licences, and the room on the disk."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest
from workspace import PLUGIN, Workspace

from cortexbuild.cli.python import open_manifest
from cortexbuild.cli.syncing import SyncOptions, run_sync
from cortexbuild.core.plan import Scope
from cortexbuild.errors import StoreError


def views(space) -> list[str]:
    folder = space.home / "quantized_models"
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    return sorted(name for name in names if not name.endswith(".provenance.json"))


def test_prune_takes_away_what_the_manifest_has_no_more(space):
    space.manifest(a={"keep": 1}, b={"keep": 2})
    space.sync()
    space.manifest(a={"keep": 1})
    space.sync()
    assert views(space) == ["m--a", "m--b"], "unasked, nothing goes"
    assert (
        "would be taken away  quantized_models/m--b"
        in space.run("sync", "--prune", "--dry-run").stderr
    )
    assert views(space) == ["m--a", "m--b"]
    assert "gone  quantized_models/m--b" in space.run("sync", "--prune").stderr
    assert views(space) == ["m--a"]
    space.manifest(a={"keep": 1}, b={"keep": 2})
    assert space.sync() == [], "its bytes are still here"
    assert views(space) == ["m--a", "m--b"]


def test_prune_leaves_what_another_project_has_and_what_is_not_ours(space, tmp_path):
    other = Workspace(tmp_path / "other", space.home, space.env)
    shutil.copytree(space.root, other.root)
    space.manifest(a={}, shared={})
    other.manifest(shared={})
    space.sync()
    other.sync()
    (space.home / "quantized_models" / "mine").mkdir()
    space.manifest(z={})
    said = space.run("sync", "--prune").stderr
    assert "m--a" in said and "m--shared" not in said
    assert views(space) == ["m--shared", "m--z", "mine"]
    shutil.rmtree(other.root)
    space.manifest(shared={}, z={})
    space.sync()
    space.manifest(z={})
    assert "m--shared" in space.run("sync", "--prune").stderr, (
        "a project that is gone needs nothing"
    )


def test_a_view_that_was_replaced_by_hand_is_not_pruned(space):
    space.manifest(a={}, b={})
    space.sync()
    (space.home / "quantized_models" / "m--b").unlink()
    (space.home / "quantized_models" / "m--b").mkdir()
    space.manifest(a={})
    assert "gone" not in space.run("sync", "--prune").stderr
    assert views(space) == ["m--a", "m--b"]


def deny(space, *patterns):
    text = (space.root / "cortex.yaml").read_text()
    space.write("cortex.yaml", text + f"licenses: {{deny: [{', '.join(patterns)}]}}\n")


def test_a_denied_licence_stops_before_anything_is_brought(space):
    space.write("weights/README.md", "---\nlicense: cc-by-nc-4.0\n---\n")
    deny(space, "'*-nc-*'")
    said = space.run("sync", code=2).stderr
    assert "cortex.yaml:3:3: m: path:weights is under `cc-by-nc-4.0`" in said
    assert "`licenses.deny` has `*-nc-*`" in said and "cortex.yaml:7:" in said
    assert space.blobs() == []


def test_a_licence_that_changes_beside_the_same_weights_is_seen(space):
    deny(space, "'*-nc-*'")
    space.write("weights/README.md", "---\nlicense: mit\n---\n")
    space.run("sync")
    space.write("weights/README.md", "---\nlicense: cc-by-nc-4.0\n---\n")
    assert "path:weights is under `cc-by-nc-4.0`" in space.run("sync", code=2).stderr


def test_what_declares_no_licence_is_unknown(space):
    deny(space, "gpl-3.0")
    space.run("plan")
    space.manifest()
    deny(space, "unknown")
    assert "is under `unknown`" in space.run("plan", code=2).stderr


def test_an_adapter_and_a_base_count_too(space):
    """The adapter says nothing itself; its base, which is in the manifest, does."""
    from cortexbuild.core.digest import Tree
    from cortexbuild.core.document import Text
    from cortexbuild.core.licences import check_licences
    from cortexbuild.core.lock import Lock, Pinned
    from cortexbuild.core.manifest import Manifest
    from cortexbuild.errors import ManifestError

    def pinned(origin, **facts):
        return origin, Pinned(origin, Tree(()), {"format": "safetensors", **facts})

    model = {"source": "hf:org/free", "adapters": ["path:style"], "targets": ["t"]}
    base = {"source": "hf:org/base@v1", "targets": ["t"]}
    data = {"schema": 1, "models": {"m": model}, "licenses": {"deny": ["LLAMA*"]}}
    facts = [
        pinned("hf:org/free", licence="mit"),
        pinned("path:style", base_model="org/base"),
        pinned("hf:org/base@v1", licence="llama3.1"),
    ]
    with pytest.raises(ManifestError, match="path:style is under `llama3.1` by hf:org/base@v1"):
        check_licences(Manifest.parse(Text("cortex.yaml", data)), Lock(dict(facts), {}))
    data["models"] = {"m": base}
    with pytest.raises(ManifestError, match="hf:org/base@v1 is under `llama3.1`, and"):
        check_licences(Manifest.parse(Text("cortex.yaml", data)), Lock(dict(facts), {}))
    data["licenses"] = {"deny": ["gpl*"]}
    check_licences(Manifest.parse(Text("cortex.yaml", data)), Lock(dict(facts), {}))


def test_a_disk_that_is_too_small_is_an_error_before_the_first_byte(space, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 0, 100))
    monkeypatch.setenv("CORTEX_HOME", str(space.home))
    monkeypatch.syspath_prepend(PLUGIN)
    project = open_manifest(space.root / "cortex.yaml")
    with pytest.raises(StoreError, match="are to be written to .* and 100 B are free") as error:
        run_sync(project, Scope(project.plan.select([])), lambda event: None, SyncOptions(1))
    assert "set CORTEX_HOME" in error.value.hint
    assert space.blobs() == []
