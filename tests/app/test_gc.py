"""`cache gc`, `ls` and `stats`, as a person uses them: what goes, what stays, and beside whom."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from waiting import children_of, is_gone, needs_proc, until
from workspace import Workspace

from cortexbuild.cli.main import main
from cortexbuild.store.storelock import store_lock


def asked(space, *args, code=0):
    """What a command about the cache says on stdout, in this process: no engine is needed."""
    before = dict(os.environ)
    os.environ.update(space.environment())
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(["cache", *args]) == code
    finally:
        os.environ.clear()
        os.environ.update(before)
    return out.getvalue()


def gc(space, *args, code=0):
    return json.loads(asked(space, "gc", "--json", *args, code=code))


def contents(space):
    return sorted(path.read_text() for path in space.blobs() if b"\0" not in path.read_bytes())


def classes(report):
    """What went, by class and kind; `detect` only had to succeed, and is as good as nothing."""
    gone = sorted((one["class"], one["kind"]) for one in report["gone"])
    return [one for one in gone if one != ("intermediate", "detect")]


def listing(space):
    """Every file of the home with its times, but for what is derived and opened by reading."""
    return {
        path: (path.lstat().st_mtime_ns, path.lstat().st_ctime_ns, path.lstat().st_size)
        for path in sorted(space.home.rglob("*"))
        if not path.name.startswith("index.sqlite") and path != space.store
    }


def root_files(space):
    return sorted((space.store / "roots").glob("*.json"))


def seen_on(space, day):
    """As if that was the last day on which each project whose folder is gone was seen."""
    for path in root_files(space):
        value = json.loads(path.read_text())
        if not Path(value["project"]).exists():
            path.write_text(json.dumps({**value, "seen": day.isoformat()}))


def beside(space, tmp_path, text="hello world"):
    """Another project with the same home."""
    other = Workspace(tmp_path / "other", space.home, space.env)
    shutil.copytree(space.root, other.root)
    other.write("weights/config.json", json.dumps({"text": text}))
    other.write("cortex.yaml", (space.root / "cortex.yaml").read_text().replace("  m:", "  o:"))
    return other


def test_intermediates_go_and_are_not_missed(space):
    space.sync()
    before = listing(space)
    planned = gc(space, "--keep", "0", "--dry-run", code=1)
    assert listing(space) == before, "a dry run changes nothing"
    report = gc(space, "--keep=0", code=1)
    assert classes(report) == [("intermediate", "convert"), ("source", "fetch")]
    assert {**planned, "dry_run": False} == report, "and it has told the truth"
    assert set(report["kept"]) == {"target"}
    assert "HELLO WORLD" not in contents(space) and "hello world" not in "".join(contents(space))
    assert space.sync() == []
    assert "as they should be" in space.run("verify").stderr
    assert gc(space, "--keep", "0", code=1)["gone"] == []
    said = space.run("cache", "gc", "--keep", "20", code=1)
    assert "cannot go, and 20 B were to stay" in said.stderr
    assert "target: a project's target" in said.stdout
    assert gc(space, "--keep", "1GB")["before"] == report["after"]


def test_without_its_index_it_takes_what_it_takes_with_it(space):
    space.manifest(a={"keep": 1}, b={"keep": 2})
    space.sync()
    space.manifest(a={"keep": 1})
    space.run("sync", "--prune")
    with_it = gc(space, "--older-than=0h", "-n")
    for part in space.store.glob("index.sqlite*"):
        part.unlink()
    assert classes(gc(space, "--older-than=1d")) == [], "a file was used when it came, at least"
    without = gc(space, "--older-than=0h")
    assert classes(without) == classes(with_it) and without["kept"] == with_it["kept"]
    assert space.sync() == [] and space.text("m--a") == "H"


def test_nothing_goes_that_need_not(space):
    space.manifest(a={"keep": 1}, b={"keep": 2})
    space.sync()
    all_of_it = gc(space, "--keep=1TB", "-n")["before"]
    assert gc(space, "--keep", str(all_of_it))["gone"] == []
    report = gc(space, "--keep", str(all_of_it - 1))
    assert [one["class"] for one in report["gone"]] == ["intermediate"]
    assert report["after"] == all_of_it - report["gone"][0]["freed"]
    assert gc(space, "--older-than", "1d")["gone"] == []


def test_what_was_built_for_a_target_that_is_gone_comes_back_by_a_sync(space):
    space.manifest(a={"keep": 1}, b={"keep": 2})
    space.sync()
    space.manifest(a={"keep": 1})
    space.sync()
    left = classes(gc(space, "--older-than=0h"))
    assert left == [("intermediate", "convert"), ("source", "fetch")], "its view stays"
    space.run("sync", "--prune")
    held = {path.stat().st_ino for path in space.blobs() if path.read_bytes() == b"HE"}
    report = gc(space, "--older-than=0h")
    assert classes(report) == [("old target", "quantize")]
    left = {path.stat().st_ino for path in space.home.rglob("*") if path.is_file()}
    assert len(held) == 1 and not held & left, "no name of it is left, so its space is free"
    assert len(list((space.store / "trees").iterdir())) == 1
    space.manifest(a={"keep": 1}, b={"keep": 2})
    made = ["m/fetch", "m/convert", "m:b/quantize"]
    assert space.steps() == made, "its check has its record still"
    assert space.text("m--b") == "HE"


def test_two_projects_on_one_home_lose_nothing_of_each_other(space, tmp_path):
    other = beside(space, tmp_path, "another text")
    space.sync()
    other.sync()
    assert json.loads(asked(space, "stats", "--json"))["shared"] > 0, "the same weights"
    report = gc(space, "--keep", "0", code=1)
    assert classes(report) == [("intermediate", "convert")] * 2 + [("source", "fetch")] * 2
    assert space.sync() == other.sync() == []
    assert (space.text(), space.text("o--t")) == ("HELL", "ANOT")
    stats = json.loads(asked(space, "stats", "--json"))
    assert stats["projects"].keys() == {str(space.root), str(other.root)}
    assert stats["bytes"] == sum(path.stat().st_size for path in space.blobs())
    assert stats["bytes"] == sum(stats["classes"].values())
    assert sum(stats["projects"].values()) + stats["shared"] == stats["bytes"]
    listed = json.loads(asked(space, "ls", "--json"))["artifacts"]
    found = {(one["label"], one["class"], one["here"] > 0) for one in listed}
    assert ("m:t/quantize", "target", True) in found
    assert ("m:t/convert", "intermediate", False) in found
    assert ("m/fetch (path:weights)", "source", False) in found
    assert "dropped" in asked(space, "ls")
    assert "several projects" in asked(space, "stats")


def test_a_checkout_that_moved_keeps_its_targets_for_thirty_days(space, tmp_path):
    space.sync()
    home = space.root
    space.root = home.rename(home.with_name("moved"))
    seen_on(space, date.today() - timedelta(days=29))
    report = gc(space, "--keep=0", code=1)
    assert classes(report) == [("intermediate", "convert")]
    assert report["expired"] == []
    assert space.text() == "HELL"
    assert space.sync() == []
    seen_on(space, date.today() - timedelta(days=32))
    report = gc(space, "--keep=0", code=1)
    assert [(one["project"], one["views"]) for one in report["expired"]] == [(str(home), [])]
    assert space.text() == "HELL", "the view is that of the new place, too"
    assert space.sync() == []


def test_a_checkout_that_was_deleted_expires_and_takes_its_views_along(space, tmp_path):
    other = beside(space, tmp_path, "another text")
    space.sync()
    other.sync()
    shutil.rmtree(space.root)
    seen_on(space, date.today() - timedelta(days=32))
    before = listing(space)
    said = asked(other, "gc", "--keep=0", "-n", code=1)
    assert f"would go  project {space.root}, last seen " in said
    assert listing(space) == before
    report = gc(other, "--keep=0", code=1)
    assert report["expired"][0]["views"] == ["quantized_models/m--t"]
    assert classes(report) == [
        ("intermediate", "convert"), ("intermediate", "convert"), ("old target", "quantize"),
        ("source", "fetch"),
    ]  # fmt: skip
    assert not os.path.lexists(space.view())
    assert [path.name for path in space.view().parent.iterdir()] == [
        "o--t", "o--t.provenance.json"
    ]  # fmt: skip
    assert "hello world" in "".join(contents(space)), "its source was nowhere else"
    assert len(root_files(space)) == 1
    assert other.sync() == []


def test_a_source_that_is_nowhere_else_goes_only_when_asked(space):
    space.sync()
    space.write("weights/config.json", '{"text": "jello world"}')
    space.sync()
    report = gc(space, "--older-than=0h")
    assert "hello world" in "".join(contents(space)), "in its place is another, of the same size"
    assert "only copy" in report["kept"]
    report = gc(space, "--older-than=0h", "--include-unrefetchable")
    assert classes(report) == [("only copy", "fetch")], "the other one went before"
    assert "hello world" not in "".join(contents(space))
    assert space.sync() == []


def test_a_source_that_still_lies_in_its_place_can_go(space):
    space.sync()
    space.write("others/config.json", '{"text": "others"}')
    shutil.copy(space.root / "weights/model.safetensors", space.root / "others")
    text = (space.root / "cortex.yaml").read_text()
    space.write("cortex.yaml", text.replace("path:weights", "path:others"))
    space.sync()
    assert ("old source", "fetch") in classes(gc(space, "--older-than=0h"))
    assert "hello world" not in "".join(contents(space))
    space.write("cortex.yaml", text)
    assert "m/fetch" in space.steps() and space.text() == "HELL"


def test_with_a_lock_that_cannot_be_read_no_source_goes(space):
    space.sync()
    space.write("weights/config.json", '{"text": "changed"}')
    space.sync()
    (space.root / "cortex.lock").write_text("<<<<<<< ours\n")
    report = gc(space, "--older-than=0h", "--include-unrefetchable")
    assert "has conflicts of a merge" in report["notes"][0]
    assert "fetch" not in [kind for _, kind in classes(report)]


def test_old_records_go_when_nothing_stands_on_them(space):
    space.manifest(a={"keep": 1}, b={"keep": 2})
    space.sync()
    space.manifest(a={"keep": 1})
    space.run("sync", "--prune")
    gc(space, "--older-than=0h")
    long_ago = time.time() - 400 * 86_400
    for path in (space.store / "ac").rglob("*.json"):
        os.utime(path, (long_ago, long_ago))
    report = gc(space, "--keep=1TB")
    assert len(report["traces"]) == 2, "what a was made from is still needed, by its records"
    assert space.sync() == []
    space.manifest(a={"keep": 1}, b={"keep": 2})
    assert "m:b/quantize" in space.steps()
    assert space.text("m--b") == "HE"


def test_beside_a_running_sync_it_waits_and_harms_nothing(space):
    space.sync()
    space.manifest(t={"keep": 7, "sleep": 2.5})
    run = space.start("sync")
    until((space.home / "cutting").exists)
    said = space.run("cache", "gc", "--keep=0", "--no-wait", code=4).stderr
    assert f"the store is in use by pid {run.pid} on " in said and "(sync, since " in said
    assert "convert" in asked(space, "ls"), "who only looks need not wait"
    collection = space.start("cache", "gc", "--keep=0")
    _, said = run.communicate(timeout=30)
    assert run.returncode == 0, said
    out, _ = collection.communicate(timeout=30)
    assert "gone" in out and "old target  m:t/quantize" in out
    assert space.text() == "HELLO W"
    assert space.sync() == []


def test_a_sync_does_not_begin_while_bytes_are_going(space):
    space.sync()
    with store_lock(space.store, "cache gc", print, alone=True):
        said = space.run("sync", "--no-wait", code=4).stderr
        assert f"the store is in use by pid {os.getpid()} on " in said and "(cache gc" in said
        run = space.start("sync", "--lock-timeout=60")
    _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said


@needs_proc
def test_a_killed_sync_is_no_obstacle_and_what_it_began_can_go_on(space):
    space.manifest(t={"sleep": 60})
    run = space.start("sync")
    until((space.home / "cutting").exists)
    workers = children_of(run.pid)
    run.kill()
    run.communicate()
    until(lambda: all(is_gone(pid) for pid in workers))
    report = gc(space, "--keep=0", "--no-wait")
    took = [("old target", "convert"), ("source", "fetch")]
    assert classes(report) == took, "nothing has come of it yet; its lock counts all the same"
    assert space.debris() == []
    space.manifest(t={})
    assert space.sync() == ["fetch", "convert", "quantize", "validate"]


def test_killed_at_any_moment_it_leaves_a_store_in_which_sync_works(space):
    space.manifest(**{f"t{n}": {"keep": n} for n in range(1, 4)})
    space.sync()
    space.manifest(t1={"keep": 1})
    space.run("sync", "--prune")
    run = space.start("cache", "gc", "--older-than=0h")
    time.sleep(0.3)
    run.kill()
    run.communicate()
    space.manifest(**{f"t{n}": {"keep": n} for n in range(1, 4)})
    space.sync()
    assert [space.text(f"m--t{n}") for n in range(1, 4)] == ["H", "HE", "HEL"]
    assert space.debris() == []
    assert "as they should be" in space.run("verify").stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "one of the arguments --keep --older-than is required"),
        (("--keep=1GB", "--older-than=3d"), "not allowed with argument"),
        (("--keep=much",), "a size is written like `200GB`"),
        (("--older-than=30",), "an age is written like `30d`"),
    ],
)
def test_what_is_asked_for_must_be_clear(args, said, capsys):
    assert main(["cache", "gc", *args]) == 2
    assert said in capsys.readouterr().err


def test_a_sync_with_nothing_to_do_writes_no_root_twice_a_day(space):
    space.sync()
    (root,) = root_files(space)
    before = root.stat().st_mtime_ns
    space.sync()
    assert root.stat().st_mtime_ns == before
    value = json.loads(root.read_text())
    assert len(value["keys"]) == 2 and len(value["sources"]) == 2, "builtin:evaluation is one"
    root.write_text(json.dumps({**value, "seen": "2025-01-01"}))
    gc(space, "--keep=1TB")
    assert json.loads(root.read_text())["seen"] > "2025-01-01", "seen by the collection, too"
