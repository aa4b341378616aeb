"""`outdated`: which branches and tags have moved on since they were locked."""

from __future__ import annotations

import json

import pytest
from hub import Hub, Status
from workspace import tiny_safetensors

from cortexbuild.app.outdated import standings
from cortexbuild.app.relock import Sources
from cortexbuild.core.digest import Digest, File, Tree
from cortexbuild.core.document import Text
from cortexbuild.core.lock import Lock, Pinned
from cortexbuild.core.manifest import Manifest
from cortexbuild.core.ports import Source
from cortexbuild.errors import RemoteError

REPO, FIXED = "acme/tiny", "acme/fixed"


def files(text: str) -> dict[str, bytes]:
    return {
        "config.json": b'{"text": "%s"}' % text.encode(),
        "model.safetensors": tiny_safetensors(),
    }


@pytest.fixture
def team(space):
    with Hub() as hub:
        first = hub.commit(REPO, files("one"))
        fixed = hub.commit(FIXED, files("one"))
        space.env |= {
            "HF_ENDPOINT": hub.url, "HOME": str(space.home), "NO_PROXY": "127.0.0.1", "HF_TOKEN": "",
        }  # fmt: skip
        targets = "targets: {t: {recipe: short}}"
        space.write(
            "cortex.yaml",
            f"schema: 1\nmodels:\n  m: {{source: 'hf:{REPO}@main', {targets}}}\n"
            f"  n: {{source: 'hf:{FIXED}@{fixed}', {targets}}}\n  p: {{source: path:weights, {targets}}}\n",
        )
        space.inside = False  # huggingface-hub reads its variables when it is imported
        space.run("lock")
        yield space, hub, first


def test_a_branch_that_moved_is_told_with_both_commits_and_nothing_changes(team):
    space, hub, first = team
    lock = (space.root / "cortex.lock").read_bytes()
    second = hub.commit(REPO, {**files("twice"), "tokenizer.json": b"{}"})
    hub.log.clear()
    done = space.run("outdated", "--exit-code", code=3)
    date = "(2024-01-01)"
    assert (
        f"hf:{REPO}@main  {first[:12]} {date} -> {second[:12]} {date}  2 files, 19 B to fetch"
        in done.stdout
    )
    assert FIXED not in done.stdout
    assert "1 source by branch or tag, 1 moved" in done.stderr
    assert "`cortexbuild lock --upgrade m`" in done.stderr
    assert (space.root / "cortex.lock").read_bytes() == lock
    assert not any(FIXED in request.path for request in hub.log)
    assert sum(request.sent for request in hub.log if "cdn" in request.path) < 4096


def test_what_cannot_be_asked_is_told_at_the_end_and_the_rest_is_there(team):
    space, hub, _ = team
    other = hub.commit("acme/other", files("one"))
    assert other
    text = (space.root / "cortex.yaml").read_text()
    space.write(
        "cortex.yaml", text + "  o: {source: 'hf:acme/other', targets: {t: {recipe: short}}}\n"
    )
    hub.fault(Status(403), f"/api/models/{REPO}/*", times=99)
    done = space.run("outdated", "--json", code=5)
    rows = {one["models"][0]: one for one in json.loads(done.stdout)["sources"]}
    assert rows["o"]["locked"] is None and rows["o"]["newest"]["commit"] == other
    assert rows["o"]["problem"] is None and "could not be reached" in rows["m"]["problem"]
    assert "could not be reached" in done.stderr


def pinned(commit: str, digest: str) -> Pinned:
    return Pinned("fake:x", Tree.of([File("w", Digest(digest * 64), 7)]), {}, commit)


def manifest(*origins: str) -> Manifest:
    models = {f"m{n}": {"source": o, "targets": ["t"]} for n, o in enumerate(origins)}
    return Manifest.parse(
        Text("cortex.yaml", {"schema": 1, "evaluation": origins[0], "models": models})
    )


def sources(pin, floats, tmp_path) -> Sources:
    def dated(of: Pinned) -> str:
        return f"day of {of.commit}"

    source = Source("fake", pin, lambda *_: None, floats=floats, dated=dated)
    return Sources(lambda _: source, None, tmp_path)  # type: ignore[arg-type]


def test_only_what_floats_is_asked_and_once(tmp_path):
    asked = []

    def pin(origin, root, looks):
        asked.append(origin)
        return pinned("2", "b")

    lock = Lock({"fake:x": pinned("1", "a"), "fake:fixed": pinned("1", "a")}, {})
    ask = sources(pin, lambda origin: origin == "fake:x", tmp_path)
    (one,) = standings(manifest("fake:x", "fake:fixed", "fake:x"), lock, ask)
    assert asked == ["fake:x"]
    assert (one.models, one.has_moved, one.size) == (("m0", "m2"), True, 7)
    assert one.dates == ("day of 1", "day of 2") and len(one.files) == 1


def test_what_stayed_has_no_date_asked_for_and_what_fails_is_kept(tmp_path):
    ask = sources(lambda *_: pinned("1", "a"), lambda _: True, tmp_path)
    (one,) = standings(manifest("fake:x"), Lock({"fake:x": pinned("1", "a")}, {}), ask)
    assert not one.has_moved and one.dates == ("", "") and one.size == 0

    def fail(*_):
        raise RemoteError("away")

    (one,) = standings(manifest("fake:x"), Lock({}, {}), sources(fail, lambda _: True, tmp_path))
    assert str(one.problem) == "away" and not one.has_moved


def test_a_tool_that_is_newer_here_is_told(space):
    space.run("lock")
    lock = (space.root / "cortex.lock").read_text()
    assert space.run("outdated").stdout == ""
    older = lock.replace('"text/quantize', '"text/quantize', 1)
    row = next(line for line in older.splitlines() if line.startswith('"text/quantize'))
    (space.root / "cortex.lock").write_text(
        older.replace(row, row.replace('"revision":1', '"revision":0'))
    )
    done = space.run("outdated", "--exit-code", code=3)
    assert "text/quantize" in done.stdout and "revision 0 -> 1" in done.stdout
    assert "`cortexbuild lock --upgrade-tools`" in done.stderr
