"""The text of a licence goes where its model goes: pinned, fetched, shared and handed out with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hub import Hub
from workspace import Workspace, tiny_safetensors

REPO = "org/words"
TEXTS = {
    "LICENSE.txt": b"use it as you like\n",
    "Notice": b"made by us\n",
    "USE_POLICY.md": b"do no harm\n",
}


@pytest.fixture
def hub():
    with Hub() as hub:
        hub.commit(REPO, files())
        yield hub


def files(**others: bytes) -> dict[str, bytes]:
    model = {"config.json": b'{"text": "hello"}', "model.safetensors": tiny_safetensors()}
    none = {"notes.txt": b"", "onnx/LICENSE": b"not at the top", "license.bin": bytes(1 << 21)}
    return {**model, **TEXTS, **none, **others}


@pytest.fixture
def team(space: Workspace, hub: Hub) -> Workspace:
    """A project whose one source is on the Hub and pinned, and who shares a folder."""
    space.env |= {
        "HF_ENDPOINT": hub.url, "HF_HOME": str(space.home / "hf"), "HOME": str(space.home),
        "HF_TOKEN": "", "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    shared = space.root.parent / "shared"
    shared.mkdir()
    space.write(
        "cortex.yaml",
        f"schema: 1\nmodels:\n  m:\n    source: hf:{REPO}\n    targets: {{t: {{recipe: short}}}}\n"
        f'cache: {{remotes: [{{url: "file://{shared}", unsigned: true}}]}}\n',
    )
    lock(space)
    return space


def lock(space: Workspace, *args: str) -> str:
    """In a process of its own: huggingface-hub reads its variables when it is imported."""
    space.inside = False
    said = space.run("lock", *args).stdout
    space.inside = True
    return said


def texts_in(folder: Path) -> dict[str, bytes]:
    ours = ("README.md", "provenance.json", "m-t.txt")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in ours}


def pinned(space: Workspace) -> list[str]:
    found = json.loads((space.root / "cortex.lock").read_text())
    return [file["path"] for file in found["sources"][f"hf:{REPO}"].get("notices", ())]


def test_it_is_pinned_and_fetched_with_the_model_and_put_beside_what_goes_out(team, hub):
    assert sorted(team.steps()) == [
        "m/detect", "m/fetch", "m/fetch-licence", "m:t/convert", "m:t/quantize", "m:t/validate",
    ]  # fmt: skip
    assert pinned(team) == sorted(TEXTS)
    team.run("export", "m:t", "--to", "./out")
    assert texts_in(team.root / "out") == TEXTS
    report = json.loads(team.run("report", "--json").stdout)
    (source,) = [one for one in report["sources"] if one["origin"] == f"hf:{REPO}"]
    assert [file["path"] for file in source["files"]] == ["config.json", "model.safetensors"]
    hub.commit(REPO, files(**{"LICENSE.txt": b"use it on Sundays\n"}))
    assert "~ LICENSE.txt" in lock(team, "--upgrade")
    assert "m:t is not up to date" in team.run("export", "m:t", "--to", "./new", code=1).stderr
    assert team.sync() == ["fetch-licence"], "and no step that makes something"
    team.run("export", "m:t", "--to", "./out", "--replace")
    assert texts_in(team.root / "out") == {**TEXTS, "LICENSE.txt": b"use it on Sundays\n"}


def test_a_lock_of_before_is_as_good_as_it_was(team):
    team.sync()
    file = team.root / "cortex.lock"
    text = file.read_text()
    start = text.index(' "notices":[')
    before = text[:start] + text[text.index(' "files":[', start) :]
    file.write_text(before)
    team.run("lock", "--check")
    assert team.sync("--locked") == [] and team.sync() == [] and file.read_text() == before
    assert "+ LICENSE.txt  19 bytes" in lock(team, "--upgrade")
    assert file.read_text() == text and team.sync() == []


def test_who_only_pulls_can_hand_it_out(team, hub, tmp_path):
    team.run("sync", "--cache", "remote:rw")
    team.env["CORTEX_OFFLINE"] = "1"
    hub.delete_revision(REPO, hub.repos[REPO].branches["main"])
    team.home = tmp_path / "laptop"
    shutil.rmtree(team.root / ".cortex")
    report = team.report()
    assert {s["step"] for s in report["steps"] if s["change"] == "pulled"} == {
        "m/fetch-licence", "m:t/quantize", "m:t/validate",
    }  # fmt: skip
    team.run("export", "m:t", "--to", "./out")
    assert texts_in(team.root / "out") == TEXTS


def test_who_has_a_bundle_can_hand_it_out(team, tmp_path):
    team.sync()
    team.run("keys", "new", "us")
    team.run("bundle", "export", "-o", str(tmp_path / "b.tar"), "--final")
    keys = team.home / "build" / "keys"
    team.home = tmp_path / "laptop"
    shutil.copytree(keys, team.home / "build" / "keys")
    team.env["CORTEX_OFFLINE"] = "1"
    team.run("bundle", "import", str(tmp_path / "b.tar"))
    assert team.sync() == []
    team.run("export", "m:t", "--to", "./out")
    assert texts_in(team.root / "out") == TEXTS


def test_one_that_is_damaged_does_not_go_out_and_is_fetched_again(team):
    team.sync()
    (blob,) = (path for path in team.blobs() if path.read_bytes() == TEXTS["LICENSE.txt"])
    blob.chmod(0o644)
    blob.write_bytes(TEXTS["LICENSE.txt"].replace(b"use", b"eat"))
    assert "m:t is not up to date" in team.run("export", "m:t", "--to", "./out", code=1).stderr
    assert team.sync() == ["fetch-licence"]


def test_two_models_under_one_licence_have_it_from_either(team, hub, tmp_path):
    """The text of one came with the other's: then there is no record of its own, and it is sent."""
    other = {name: TEXTS[name] for name in ("LICENSE.txt",)}
    hub.commit("org/other", {k: v for k, v in files().items() if k not in TEXTS} | other)
    text = (team.root / "cortex.yaml").read_text()
    entry = "  n:\n    source: hf:org/other\n    targets: {t: {recipe: short}}\n"
    team.write("cortex.yaml", text.replace("cache:", f"{entry}cache:"))
    lock(team)
    team.sync("m")
    assert "fetch-licence" not in team.sync("n", "--cache", "remote:rw")
    team.home = tmp_path / "laptop"
    team.env["CORTEX_OFFLINE"] = "1"
    team.run("pull", "n")


def test_it_is_that_of_all_that_a_model_is_made_from(space):
    """Where two texts want one name, the name of the source tells them apart."""
    space.write("weights/LICENSE", "ours\n")
    space.write("weights/NOTICE", "both\n")
    space.write("weights/README.md", "---\nbase_model: base/Model\n---\n")
    for name, content in {
        "config.json": '{"text": "more"}', "model.safetensors": tiny_safetensors(),
        "license": "of the base\n", "NOTICE": "both\n",
    }.items():  # fmt: skip
        space.write(f"base/Model/{name}", content)
    text = (space.root / "cortex.yaml").read_text()
    more = "  b:\n    source: path:base/Model\n    targets: {t: {recipe: short}}\n"
    space.write("cortex.yaml", text + more)
    assert "fetch" in space.sync()
    space.run("export", "m:t", "--to", "./out")
    assert texts_in(space.root / "out") == {
        "LICENSE": b"ours\n", "NOTICE": b"both\n", "license-model": b"of the base\n",
    }  # fmt: skip
    space.run("export", "m:t", "--to", "./out", "--replace")
