"""Homes and projects as older versions left them (`make.py`): read as they are, and never dropped.

Run with the plug-in of that time, in processes of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest
from workspace import ROOT, Workspace

HERE = Path(__file__).parent
VERSIONS = sorted(path.name.removesuffix(".tar.xz") for path in HERE.glob("*.tar.xz"))


def unpacked(name: str, tmp_path: Path) -> Workspace:
    with tarfile.open(HERE / f"{name}.tar.xz") as tar:
        tar.extractall(tmp_path, filter="fully_trusted")
    paths = os.pathsep.join([str(HERE / "plugin"), str(ROOT)])
    space = Workspace(tmp_path / "project", tmp_path / "home", {"PYTHONPATH": paths})
    for old in (space.store / "roots").glob("*.json"):  # it was in another place
        was = (space.root / "was-at").read_text()
        text = old.read_text().replace(json.dumps(was), json.dumps(str(space.root)))
        old.unlink()
        digest = hashlib.sha256(str(space.root.resolve()).encode()).hexdigest()
        old.with_name(f"{digest}.json").write_text(text)
    return space


def kept(space: Workspace) -> dict[str, bytes]:
    """Every record and content."""
    places = (space.store / "ac", space.store / "cas")
    return {p.name: p.read_bytes() for place in places for p in place.rglob("*") if p.is_file()}


def test_there_are_some():
    assert len(VERSIONS) == 5


@pytest.mark.parametrize("name", VERSIONS)
def test_what_an_older_version_built_is_found_and_nothing_is_built_again(name, tmp_path):
    space = unpacked(name, tmp_path)
    before = kept(space)
    assert len(before) == 9 + 7, "two syncs of two targets"
    if name == "first-lock":  # the lock is read, and says less of a source than today's
        said = space.run("sync", "--locked", code=3).stderr
        assert "~ path:weights  is described otherwise" in said
    locked = name not in ("first-store", "first-lock")
    assert space.steps(*(["--locked"] if locked else [])) == []
    assert (space.text("m--t"), space.text("m--all")) == ("HELL", "HELLO WORLD")
    assert kept(space) == before


def test_a_collection_takes_from_the_first_store_what_it_takes_from_any(tmp_path):
    space = unpacked("first-store", tmp_path)
    before = kept(space)
    space.sync()
    space.run("cache", "gc", "--older-than=0h")
    after = kept(space)
    gone = sorted(before[name] for name in before.keys() - after.keys() if len(before[name]) < 50)
    assert gone == [b"HE", b'{"text": "hello world"}'], "an old target, and what lies in its place"
    assert after.items() <= before.items()
    text = (space.root / "cortex.yaml").read_text()
    space.write("cortex.yaml", text.replace("keep: 4", "keep: 2"))
    assert space.steps() == ["m:t/quantize"], "its record stayed, and so did what was measured"


def test_what_older_tools_made_stays_and_counts_again_when_they_are_back(space):
    space.sync()
    first = kept(space)
    (space.home / "text-version").write_text("2.0")
    space.run("lock", "--upgrade-tools")
    assert space.sync() == ["convert", "quantize", "validate"], "the source is not of a tool"
    both = kept(space)
    assert first.items() <= both.items()
    (space.home / "text-version").write_text("1.0")
    space.run("lock", "--upgrade-tools")
    assert space.sync() == [] and kept(space) == both


def test_a_layout_that_cannot_be_read_is_no_reason_to_give_a_store_up(space):
    space.sync()
    (space.store / "store.json").write_text("")
    assert "remove it" in space.run("sync", code=1).stderr
    (space.store / "store.json").unlink()
    assert space.sync() == []


def test_what_cortex_itself_has_in_its_home_is_left_alone(space):
    theirs = {
        "conversion_cache.json": '{"llama": "old"}',
        "mlx_models/llama-4bit/config.json": "{}",
        "quantized_models/m--t/weights.bin": "of Cortex",
        "quantized_models/other/weights.bin": "other",
    }
    for name, text in theirs.items():
        (space.home / name).parent.mkdir(parents=True, exist_ok=True)
        (space.home / name).write_text(text)
    outside = space.root.parent / "elsewhere"
    outside.mkdir()
    (space.home / "quantized_models" / "m--u").symlink_to(outside)
    (space.home / "quantized_models" / "m--v").symlink_to("nowhere")
    said = space.run("sync", code=1).stderr
    assert "quantized_models/m--t exists and was not made by cortexbuild" in said
    assert "give the target another name" in said
    for name in ("u", "v"):
        space.manifest(**{name: {}})
        assert f"m--{name} exists and was not made" in space.run("sync", code=1).stderr
    space.manifest(good={}, old={})
    space.sync()
    space.manifest(good={})
    space.run("sync", "--prune")
    space.run("cache", "gc", "--older-than=0h")
    assert space.text("m--good") == "HELL"
    assert {name: (space.home / name).read_text() for name in theirs} == theirs
    views = {path.name for path in (space.home / "quantized_models").iterdir()}
    assert views == {"m--t", "other", "m--u", "m--v", "m--good", "m--good.provenance.json"}
