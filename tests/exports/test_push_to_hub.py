"""A target is published as one commit, with its card, and only what may be."""

from __future__ import annotations

import json
import os

import pytest
import yaml
from hub import Hub, Status
from workspace import ROOT

HASTY = ROOT / "tests" / "hub" / "hasty"


@pytest.fixture
def hub(space, tmp_path):
    space.inside = False  # the client reads its settings when it is imported
    with Hub(tokens={"hf_writer"}) as hub:
        space.env |= {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "hf_writer",
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0",
        }  # fmt: skip
        yield hub


def test_all_of_it_is_one_commit_and_again_is_none(space, hub):
    space.write("weights/README.md", "---\nlicense: mit\n---\n")
    space.sync()
    said = json.loads(space.run("push-to-hub", "m:t", "me/m", "--private", "--json").stdout)
    repo = hub.repos["me/m"]
    files = repo.commits[said["commit"]]
    assert repo.private and repo.branches == {"main": said["commit"]} and len(repo.commits) == 2
    assert set(files) == {".gitattributes", "m-t.txt", "README.md", "provenance.json"}
    assert files["m-t.txt"].data == b"HELL"
    head = yaml.safe_load(files["README.md"].data.decode().split("---\n")[1])
    assert head["license"] == "mit" and str(space.root) not in files["README.md"].data.decode()
    again = space.run("push-to-hub", "m:t", "me/m")
    assert "is there already" in again.stdout and len(repo.commits) == 2
    assert "path:weights is under `mit`, and has no text of it to go along" in again.stderr
    space.run("push-to-hub", "m:t", "me/m", "--revision", "v2")
    assert set(repo.branches) == {"main", "v2"}


def test_what_would_be_sent_is_said_and_not_sent(space, hub):
    space.sync()
    said = space.run("push-to-hub", "m:t", "me/m", "--dry-run").stdout
    assert "m-t.txt" in said and "README.md" in said and hub.log == []


def test_what_may_not_go_out_does_not(space, hub):
    space.write("weights/README.md", "---\nlicense: cc-by-nc-4.0\n---\n")
    assert "is not built" in space.run("push-to-hub", "m:t", "me/m", code=1).stderr
    space.sync()
    text = (space.root / "cortex.yaml").read_text()
    space.write("cortex.yaml", text + "licenses: {deny: ['*-nc-*']}\n")
    done = space.run("push-to-hub", "m:t", "me/m", code=2)
    assert "licenses.deny" in done.stderr and hub.log == []


def test_who_may_not_write_is_told_so(space, hub):
    space.sync()
    space.env["HF_TOKEN"] = "hf_reader"
    done = space.run("push-to-hub", "m:t", "me/m", code=5)
    assert "the token may not write to me/m" in done.stderr and "hf_reader" not in done.stderr
    space.env["HF_TOKEN"] = ""
    assert "no token to write" in space.run("push-to-hub", "m:t", "me/m", code=5).stderr
    assert (
        "needs the network" in space.run("push-to-hub", "m:t", "me/m", "--offline", code=5).stderr
    )
    assert hub.repos == {}


def test_a_push_that_is_cut_off_leaves_no_commit(space, hub):
    space.sync()
    hub.fault(Status(500), "/api/models/me/m/preupload/*", method="POST", times=99)
    space.env["PYTHONPATH"] = f"{HASTY}{os.pathsep}{space.environment()['PYTHONPATH']}"
    done = space.run("push-to-hub", "m:t", "me/m", code=5)
    assert "me/m" in done.stderr and len(hub.repos["me/m"].commits) == 1
