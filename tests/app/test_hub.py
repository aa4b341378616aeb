"""Models of the Hub, by a real client from a Hub on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter

import pytest
from hub import Cut, Drop, Flip, Hub, Status
from workspace import PLUGIN, ROOT, tiny_safetensors

GUARD = ROOT / "tests" / "guard"
REPO = "org/words"
PLAIN = {"config.json": b'{"text": "hello world"}', "README.md": b"---\nlicense: mit\n---\n# hi"}
WEIGHTS = tiny_safetensors(bytes(range(256)) * 40)


def files(**others) -> dict[str, bytes]:
    return {**PLAIN, "model.safetensors": WEIGHTS, **others}


@pytest.fixture
def hub():
    with Hub() as hub:
        yield hub


@pytest.fixture
def team(space, hub):
    """A project whose one source is on the Hub."""
    hub.commit(REPO, files())
    space.inside = False  # huggingface-hub reads its variables when it is imported
    space.env |= {
        "HF_ENDPOINT": hub.url, "HF_HOME": str(space.home / "hf"), "HOME": str(space.home),
        "HF_TOKEN": "", "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    name(space, f"hf:{REPO}")
    return space


def name(space, source):
    space.write(
        "cortex.yaml",
        f"schema: 1\nmodels:\n  m:\n    source: {source}\n    targets: {{t: {{recipe: short}}}}\n",
    )


def lock(space) -> dict:
    return json.loads((space.root / "cortex.lock").read_text())


def fetched(hub, path) -> int:
    """The bytes of a file that were really sent."""
    return sum(asked.sent for asked in hub.log if asked.path.endswith(path) or path in asked.query)


def test_a_model_of_the_hub_is_pinned_without_its_weights_and_built_from_the_commit(team, hub):
    team.run("lock")
    entry = lock(team)["sources"][f"hf:{REPO}"]
    assert entry["commit"] == hub.repos[REPO].branches["main"]
    assert [file["path"] for file in entry["files"]] == ["config.json", "model.safetensors"]
    assert entry["files"][1]["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert entry["facts"]["format"] == "safetensors" and entry["facts"]["licence"] == "mit"
    assert sorted(team.sync()) == ["convert", "detect", "fetch", "quantize", "validate"]
    assert team.text() == "HELL"
    assert not (team.store / "partial").exists() or not list((team.store / "partial").iterdir())


def test_code_is_pinned_where_a_model_asks_for_it_and_fetched_where_that_is_allowed(team, hub):
    asks = {"text": "hello", "auto_map": {"AutoModelForCausalLM": "modeling_own.Model"}}
    code = {"modeling_own.py": b"raise SystemExit", "own/names.py": b"", ".ci/make.py": b""}
    hub.commit(REPO, files(**{"config.json": json.dumps(asks).encode()}, **code))
    team.run("lock")
    pinned = lock(team)["sources"][f"hf:{REPO}"]["code"]
    assert [file["path"] for file in pinned] == ["modeling_own.py", "own/names.py"]
    assert pinned[0]["sha256"] == hashlib.sha256(b"raise SystemExit").hexdigest()
    found = json.loads(team.run("info", f"hf:{REPO}", "--json").stdout)
    assert found["code"] == ["modeling_own.py", "own/names.py"]
    before = (team.root / "cortex.lock").read_text()
    text = (team.root / "cortex.yaml").read_text()
    team.write("cortex.yaml", text + "    allow_code: true\n")
    assert "fetch" in team.sync("--until", "fetch")
    assert (team.root / "cortex.lock").read_text() == before, "leave moves no pin"
    blobs = {path.name for path in team.blobs()}
    assert {file["sha256"] for file in pinned} <= blobs


def test_what_the_hub_has_in_xet_is_built_from_there_and_by_http_when_that_fails(team, hub):
    pytest.importorskip("hf_xet")
    hub.xet, team.env["HF_HUB_DISABLE_XET"] = True, ""
    team.run("lock")
    hub.log.clear()
    assert "fetch" in team.sync() and team.text() == "HELL"
    assert fetched(hub, "model.safetensors") == 0
    assert sum(asked.sent for asked in hub.log if "/cas/xorbs/" in asked.path) > len(WEIGHTS)
    assert "POST" not in {asked.method for asked in hub.log}, "it reports on nobody"
    hub.log.clear()
    hub.fault(Status(500), "/cas/*", times=9)
    team.home = team.home.with_name("second")
    team.env |= {"HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1", "HF_XET_CLIENT_RETRY_BASE_DELAY": "1ms"}
    assert "fetch" in team.sync() and team.text() == "HELL"
    assert fetched(hub, "model.safetensors") == len(WEIGHTS)
    assert len([asked for asked in hub.log if "/cas/" in asked.path]) == 2


def test_info_looks_into_a_repository_without_its_weights(team, hub):
    large = tiny_safetensors(bytes(1 << 22))
    commit = hub.commit(REPO, files(**{"model.safetensors": large}))
    found = json.loads(team.run("info", f"hf:{REPO}", "--json").stdout)
    assert found["commit"] == commit and found["format"] == "safetensors"
    assert found["files"] == ["config.json", "model.safetensors"]
    assert found["bytes_to_fetch"] == len(large) + len(PLAIN["config.json"])
    assert found["licence"] == "mit"
    assert sum(asked.sent for asked in hub.log) < len(large) / 4


def test_a_moved_branch_moves_nothing_until_the_lock_is_upgraded(team, hub):
    team.sync()
    hub.commit(REPO, files(**{"config.json": b'{"text": "other words"}'}))
    assert team.sync() == []
    team.home = team.home.with_name("second")
    assert "convert" in team.sync() and team.text() == "HELL", "the pinned commit is built"
    said = team.run("lock", "--upgrade").stdout
    assert f"~ hf:{REPO}" in said and "~ config.json  23 -> 23 bytes" not in said
    assert "~ config.json  same size" in said and "model.safetensors" not in said
    assert "convert" in team.sync() and team.text() == "OTHE"


def test_a_new_readme_upstream_runs_nothing(team, hub):
    team.sync()
    hub.commit(REPO, files(**{"README.md": b"---\nlicense: mit\n---\nnew words"}))
    said = team.run("lock", "--upgrade", "m").stdout
    assert "->" in said and "README" not in said
    assert team.sync() == []


def test_only_one_format_is_fetched_and_one_file_may_be_named(team, hub):
    pickled = {"pytorch_model.bin": b"never asked for", "model.Q4_0.gguf": b"GGUF nor this"}
    hub.commit(REPO, files(**pickled, **{"onnx/model.onnx": b"x" * 100}))
    team.run("sync")
    asked = {request.path for request in hub.log if "resolve" in request.path}
    assert not [path for path in asked if path.endswith((".bin", ".gguf", ".onnx"))]
    name(team, f"hf:{REPO}@main/no.gguf")
    said = team.run("lock", code=2).stderr
    assert "cortex.yaml:4:5" in said and "has no file `no.gguf`" in said
    assert "it has model.Q4_0.gguf, model.safetensors" in said


def test_with_an_up_to_date_lock_nobody_is_asked_anything(team, hub):
    team.sync()
    hub.log.clear()
    team.env["PYTHONPATH"] = os.pathsep.join([str(GUARD), str(PLUGIN)])  # no socket at all
    assert team.sync() == []
    for command in (("plan",), ("list",), ("why", "m:t"), ("sync", "--locked"), ("verify",)):
        team.run(*command)
    assert hub.log == []


def test_offline_builds_from_what_is_here_and_names_what_is_not(team, hub):
    assert "is not pinned" in team.run("sync", "--offline", code=5).stderr
    team.run("lock")
    said = team.run("sync", "--offline", code=5).stderr
    assert "offline, and 2 of the 2 files" in said and "config.json, model.safetensors" in said
    hub.log.clear()
    team.sync()
    asked = len(hub.log)
    shutil.rmtree(team.store / "ac")
    team.env["PYTHONPATH"] = os.pathsep.join([str(GUARD), str(PLUGIN)])
    assert "quantize" in team.sync("--offline")
    assert len(hub.log) == asked
    assert "a network call" in team.run("lock", "--upgrade", code=70).stderr  # the guard guards


def test_s6_a_dropped_download_goes_on_where_it_ended(team, hub):
    """Five times in one file; and once more after the process itself was ended."""
    chunk = 10 << 20
    large = tiny_safetensors(os.urandom(1 << 16) * (16 * 65))
    hub.commit(REPO, files(**{"model.safetensors": large}))
    digest = hashlib.sha256(large).hexdigest()
    team.run("lock")
    hub.log.clear()
    for _ in range(5):
        hub.fault(Drop(after=11 << 20), f"/cdn/{digest}*")
    assert "fetch" in team.sync()
    sent = [asked for asked in hub.log if digest in asked.path]
    starts = [asked.range[0] if asked.range else 0 for asked in sent if asked.sent > chunk // 2]
    assert starts == sorted(set(starts)) and len(starts) == 6
    assert sum(asked.sent for asked in sent) <= len(large) + 6 * chunk
    assert [b for b in team.blobs() if b.name == digest]


def test_a_download_that_is_killed_goes_on_in_the_next_process(team, hub):
    large = tiny_safetensors(os.urandom(1 << 16) * (16 * 25))
    hub.commit(REPO, files(**{"model.safetensors": large}))
    digest = hashlib.sha256(large).hexdigest()
    team.run("lock")
    hub.fault(Drop(after=21 << 20, reset=True), f"/cdn/{digest}*")
    hub.fault(Status(403), f"/cdn/{digest}*")
    assert "could not be reached" in team.run("sync", code=5).stderr
    part = team.store / "partial" / f"{digest}.part"
    assert part.stat().st_size >= 10 << 20
    hub.log.clear()
    team.sync()
    assert sum(asked.sent for asked in hub.log if digest in asked.path) < len(large) - (9 << 20)
    assert not part.exists()


def test_a_wrong_byte_on_the_wire_is_refused_and_nothing_is_kept(team, hub):
    hub.fault(Flip(at=len(WEIGHTS) - 1), "/cdn/*")
    team.run("lock")
    hub.armed.clear()
    hub.fault(Flip(at=len(WEIGHTS) - 1), "/cdn/*")
    said = team.run("sync", code=6).stderr
    assert "`model.safetensors` is not what was pinned" in said
    assert list((team.store / "partial").iterdir()) == []
    assert not [b for b in team.blobs() if b.stat().st_size == len(WEIGHTS)]
    assert "fetch" in team.sync()


def test_a_server_that_is_busy_is_asked_again_when_it_says(team, hub):
    hub.fault(Status(503), "/api/models/*")
    team.run("lock")
    hub.fault(Status(429, retry_after=1), "/cdn/*")
    hub.fault(Status(500), "/org/words/resolve/*/config.json")
    assert "fetch" in team.sync()
    hub.commit(REPO, files(**{"config.json": b"{}"}))
    hub.fault(Status(429, retry_after=3600), "/api/models/*", times=9)
    assert "come again in 3600 seconds" in team.run("lock", "--upgrade", code=5).stderr


def test_what_is_not_there_is_said_at_the_line_with_what_is_near(team, hub):
    hub.commit("org/words-large", files())
    name(team, "hf:org/wordz")
    said = team.run("lock", code=2).stderr
    assert "cortex.yaml:4:5: hf:org/wordz does not exist" in said and "org/words" in said
    name(team, f"hf:{REPO}@v9")
    said = team.run("lock", code=2).stderr
    assert "has no revision `v9`" in said and "it has main" in said
    name(team, "hf:justaname")
    assert "it is written `hf:org/name`" in team.run("lock", code=2).stderr


def test_a_gated_model_says_which_page_and_which_token(team, hub):
    hub.tokens.add("hf_good")
    hub.commit(REPO, files(), gated=True)
    said = team.run("lock", code=5).stderr
    assert f"hf:{REPO} is gated, and no token was used" in said
    assert f"ask for access at {hub.url}/{REPO}" in said
    team.env["HF_TOKEN"] = "hf_other"
    assert "the token of HF_TOKEN was used" in team.run("lock", code=5).stderr
    team.env["HF_TOKEN"] = "hf_good"
    assert "fetch" in team.sync()


def test_a_token_that_was_revoked_is_named_with_how_to_get_another(team, hub):
    team.env["HF_TOKEN"] = "hf_old"
    hub.revoked.add("hf_old")
    said = team.run("lock", code=5).stderr
    assert f"hf:{REPO}: the Hub does not know who asks (401), and the token of HF_TOKEN" in said
    assert "revoked" in said and "`hf auth login`" in said and f"{hub.url}/{REPO}" in said
    assert "could not be reached" not in said and "hf_old" not in said


def test_a_commit_that_is_gone_upstream_still_builds_what_is_here(team, hub):
    team.sync()
    hub.delete_revision(REPO, hub.repos[REPO].branches["main"])
    assert team.sync() == []
    team.home = team.home.with_name("second")
    said = team.run("sync", code=5).stderr
    assert "any more" in said and "lock --upgrade" in said


@pytest.mark.parametrize("program", ["hub", "ollama", "lm-studio"])
def test_what_another_program_has_brought_is_adopted_and_not_downloaded(team, hub, program):
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    places = {
        "hub": f"hf/hub/models--other--repo/blobs/{digest}",
        "ollama": f".ollama/models/blobs/sha256-{digest}",
        "lm-studio": ".lmstudio/models/org/words/model.safetensors",
    }
    place = team.home / places[program]
    place.parent.mkdir(parents=True)
    place.write_bytes(WEIGHTS)
    team.run("lock")
    hub.log.clear()
    team.sync()
    assert not [asked for asked in hub.log if "/cdn/" in asked.path]
    assert place.stat().st_ino == (team.store / "cas/sha256" / digest[:2] / digest).stat().st_ino


def test_a_damaged_copy_of_another_program_is_passed_by(team, hub):
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    place = team.home / f".ollama/models/blobs/sha256-{digest}"
    place.parent.mkdir(parents=True)
    place.write_bytes(bytes(len(WEIGHTS)))
    assert "fetch" in team.sync()
    assert place.read_bytes() == bytes(len(WEIGHTS)), "it is not ours to mend"


def test_a_file_at_a_url_is_known_by_its_sha256(team, hub):
    content = tiny_safetensors(b"by url")
    hub.files["model.safetensors"] = content
    digest = hashlib.sha256(content).hexdigest()
    name(team, f"{hub.url}/files/model.safetensors")
    assert "write the sha256 of the file behind it" in team.run("lock", code=2).stderr
    name(team, f"{hub.url}/files/model.safetensors#sha256={digest}")
    team.run("lock")
    (entry,) = [s for origin, s in lock(team)["sources"].items() if origin.startswith("http")]
    (file,) = entry["files"]
    assert (file["path"], file["sha256"], file["size"]) == (
        "model.safetensors", digest, len(content),
    )  # fmt: skip
    assert team.sync("--until", "fetch") == ["fetch"]
    hub.files["model.safetensors"] = content[:-1] + b"?"
    team.home = team.home.with_name("second")
    assert "is not what was pinned" in team.run("sync", "--until", "fetch", code=6).stderr


def test_a_file_that_is_shorter_than_announced_is_not_taken(team, hub):
    team.run("lock")
    hub.fault(Cut(by=5), "/cdn/*", times=9)
    said = team.run("sync", code=5).stderr
    assert "could not be reached" in said
    assert Counter(b.stat().st_size == len(WEIGHTS) for b in team.blobs())[True] == 0
