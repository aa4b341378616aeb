"""What a person sees when they run sync twice, change one thing, or break something."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from workspace import PLUGIN

ALL = ["convert", "detect", "fetch", "quantize", "validate"]


def flip(path):
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_the_first_sync_builds_everything_and_the_second_nothing(space):
    assert sorted(space.sync()) == ALL
    assert space.text() == "HELL"
    assert space.sync() == []
    assert space.debris() == []


def test_touching_moving_renaming_and_editing_the_readme_run_nothing(space):
    space.sync()
    os.utime(space.root / "weights" / "config.json")
    assert space.sync() == []
    space.write("weights/README.md", "about it, at length")
    assert space.sync() == []
    shutil.move(space.root / "weights", space.root / "elsewhere")
    text = (space.root / "cortex.yaml").read_text().replace("path:weights", "path:elsewhere")
    space.write("cortex.yaml", text)
    assert space.sync() == []
    moved = space.root.with_name("moved")
    shutil.move(space.root, moved)
    space.root = moved
    assert space.sync() == []


def test_renaming_the_model_runs_nothing_and_shows_it_under_its_new_name(space):
    space.sync()
    text = (space.root / "cortex.yaml").read_text().replace("  m:", "  other:")
    space.write("cortex.yaml", text)
    assert space.sync() == []
    assert space.text("other--t") == "HELL"


def test_changing_one_setting_runs_that_step_and_what_follows(space):
    space.manifest(a={"keep": 4}, b={"keep": 5})
    space.sync()
    space.manifest(a={"keep": 4}, b={"keep": 7})
    assert space.steps() == ["m:b/quantize", "m:b/validate"]
    assert space.text("m--b") == "HELLO W"
    space.manifest(a={"keep": 4}, b={"keep": 5})
    assert space.steps() == []
    assert space.text("m--b") == "HELLO"


def test_writing_a_default_out_runs_nothing(space):
    space.sync()
    space.manifest(t={"keep": 4, "sleep": 0, "fail": ""})
    assert space.sync() == []


def test_an_edit_that_ends_in_the_same_bytes_stops_there(space):
    space.sync()
    space.write("weights/config.json", '{"text":   "hello world"}')
    assert sorted(space.sync()) == ["convert", "detect", "fetch"]
    space.write("weights/config.json", '{"text": "howdy"}')
    assert sorted(space.sync()) == ALL
    assert space.text() == "HOWD"


def test_an_edit_of_a_file_that_convert_does_not_read_does_not_run_it(space):
    space.sync()
    space.write("weights/generation_config.json", "{}")
    assert space.sync() == []


def test_shared_steps_run_once_and_are_named_after_the_model(space):
    space.manifest(a={"keep": 1}, b={"keep": 2}, c={"keep": 3})
    steps = space.steps()
    assert sorted(steps)[:3] == ["m/convert", "m/detect", "m/fetch"]
    assert len(steps) == 9


def test_a_step_with_lost_bytes_runs_again_and_only_that(space):
    space.sync()
    for blob in space.blobs():
        if blob.read_bytes() == b"HELL":
            blob.unlink()
    steps = space.sync()
    assert steps == ["quantize"]
    assert space.text() == "HELL"


def test_lost_intermediates_are_not_missed(space):
    space.sync()
    for blob in space.blobs():
        if blob.read_bytes() != b"HELL" and b"nonfinite" not in blob.read_bytes():
            blob.unlink()
    assert space.sync() == []
    assert "m/fetch" not in space.run("plan").stdout


def test_a_flipped_byte_is_named_by_verify_and_made_again_by_sync(space):
    space.sync()
    (wrong,) = [blob for blob in space.blobs() if blob.read_bytes() == b"HELL"]
    flip(wrong)
    said = space.run("verify", code=6).stderr
    assert wrong.name in said and "m:t/quantize (model.txt)" in said
    assert space.run("path", "m:t", code=6).stdout == ""
    assert space.sync() == ["quantize"]
    assert space.text() == "HELL"
    assert "as they should be" in space.run("verify").stderr


def test_no_command_hands_out_a_flipped_byte_that_nobody_verified(space):
    space.sync()
    (wrong,) = [blob for blob in space.blobs() if blob.read_bytes() == b"HELL"]
    flip(wrong)
    assert space.run("path", "m:t", code=6).stdout == ""
    assert space.run("list", "--json").stdout.count('"stale"') == 1
    assert space.sync() == ["quantize"]
    assert space.text() == "HELL"


def test_a_flipped_intermediate_is_not_read_by_a_step(space):
    space.sync()
    (wrong,) = [blob for blob in space.blobs() if blob.read_bytes() == b"HELLO WORLD"]
    flip(wrong)
    space.manifest(t={"keep": 2})
    assert sorted(space.sync()) == ["convert", "quantize", "validate"]
    assert space.text() == "HE"


def test_a_file_taken_out_of_a_view_is_put_back(space):
    space.sync()
    (space.home / "quantized_models" / "m--t" / "model.txt").unlink()
    space.run("path", "m:t", code=6)
    assert space.sync() == []
    assert space.text() == "HELL"


def test_a_name_that_is_not_ours_is_never_touched(space):
    taken = space.home / "quantized_models" / "m--t"
    taken.mkdir(parents=True)
    (taken / "precious").write_text("mine")
    said = space.run("sync", code=1).stderr
    assert "was not made by cortexbuild" in said and "hint: move it away" in said
    assert (taken / "precious").read_text() == "mine"
    shutil.rmtree(taken)
    taken.symlink_to(space.root)
    space.run("sync", code=1)
    assert taken.readlink() == space.root


@pytest.mark.parametrize(
    ("fail", "said"),
    [
        ("raise", "ValueError: no scissors"),
        ("kill", "its process was ended by SIGKILL (out of memory?)"),
        ("nothing", "ended without an error and without an output"),
    ],
)
def test_a_failed_step_is_named_with_its_log_and_kept_out_of_the_cache(space, fail, said):
    space.manifest(t={"fail": fail})
    report = space.report(code=1)
    failure = report["failures"]["m:t/quantize"]
    assert said in failure["message"]
    assert [s["step"] for s in report["steps"] if s["change"] == "skipped"] == ["m:t/validate"]
    if fail == "raise":
        assert "Traceback" in Path(failure["log"]).read_text()
    assert space.report(code=1)["failures"].keys() == {"m:t/quantize"}  # tried again, not cached
    space.manifest(t={})
    assert space.sync() == ["quantize", "validate"]
    assert space.debris() == []


def test_keep_going_finishes_what_does_not_need_the_failed_step(space):
    space.manifest(bad={"fail": "raise"}, good={"keep": 3})
    report = space.report("--keep-going", code=1)
    assert "m:good/validate" in [s["step"] for s in report["steps"] if s["change"] == "built"]
    assert space.text("m--good") == "HEL"
    assert not (space.home / "quantized_models" / "m--bad").exists()


def test_fail_fast_ends_what_is_running(space):
    space.manifest(a={"sleep": 60}, b={"fail": "raise"})
    report = space.report("--fail-fast", code=1)
    changes = {s["step"]: s["change"] for s in report["steps"]}
    assert changes["m:b/quantize"] == "failed" and changes["m:a/validate"] == "skipped"
    assert space.debris() == []


def test_without_keep_going_nothing_new_starts_after_a_failure(space):
    space.manifest(**{"a": {"fail": "raise"}, "b": {"keep": 3}, "c": {"keep": 2}, "d": {"keep": 1}})
    space.run("sync", "-j", "1", code=1)
    report = json.loads(space.run("plan", "--json").stdout)
    unfinished = [s["id"] for s in report["steps"] if s["state"] != "fresh"]
    assert "m:d/validate" in unfinished


def test_a_target_that_is_judged_bad_keeps_its_last_good_view(space):
    space.sync()
    recipe = (space.root / "recipes" / "short.yaml").read_text()
    space.write(
        "recipes/short.yaml",
        recipe.replace("validate, tool: text", "validate, tool: text, set: {longest: 3}"),
    )
    report = space.report(code=1)
    assert report["targets"][0]["wrong"] == ["1 of its scores are NaN or infinite"]
    space.manifest(t={"keep": 6})
    said = space.run("sync", code=1).stderr
    assert "m:t is not good enough" in said
    assert space.text() == "HELL"


def test_targets_may_be_chosen_and_globbed(space):
    space.manifest(a1={"keep": 1}, a2={"keep": 2}, b={"keep": 3})
    assert [s for s in space.steps("m:a*") if "quantize" in s] == ["m:a1/quantize", "m:a2/quantize"]
    assert space.steps("m:b") == ["m:b/quantize", "m:b/validate"]
    assert space.steps("m") == []
    said = space.run("sync", "m:bb", code=2).stderr
    assert "no target `m:bb`" in said and "did you mean `m:b`?" in said


def test_independent_steps_run_at_the_same_time(space):
    space.manifest(a={"keep": 1, "sleep": 1.0}, b={"keep": 2, "sleep": 1.0})
    started = [e for e in space.run("sync", "-j", "2").stderr.splitlines() if "quantize" in e]
    assert len(started) == 2
    logs = [p.name for run in (space.store / "runs").iterdir() for p in run.iterdir()]
    assert "m--a-quantize.log" in logs


def test_dry_run_says_what_then_runs(space):
    space.manifest(a={"keep": 1}, b={"keep": 2})
    for change in (
        lambda: None,
        lambda: space.manifest(a={"keep": 3}, b={"keep": 2}),
        lambda: space.write("weights/config.json", '{"text": "another"}'),
        lambda: space.write("weights/config.json", '{"text":  "another"}'),
    ):
        change()
        planned = json.loads(space.run("sync", "--dry-run", "--json").stdout)
        will = {s["id"] for s in planned["steps"] if s["state"] == "will-run"}
        may = {s["id"] for s in planned["steps"] if s["state"] == "may-run"}
        ran = set(space.steps())
        assert will <= ran <= will | may
    assert space.sync() == []


def test_everything_is_said_to_run_in_an_empty_home(space):
    planned = json.loads(space.run("plan", "--json").stdout)
    assert planned["summary"] == {"fresh": 0, "remote": 0, "will_run": 5, "may_run": 0}
    assert not (space.home / "quantized_models").exists()


def test_why_follows_a_change_to_its_line(space):
    space.manifest(t={"keep": 4})
    space.sync()
    space.manifest(t={"keep": 6})
    said = space.run("why", "m:t").stdout
    assert "params.keep: 4 -> 6    (cortex.yaml:6:32)" in said
    space.manifest(t={"keep": 4})
    space.write("weights/config.json", '{"text": "hi"}')
    said = space.run("why", "m:t").stdout
    assert "inputs.model.config.json:" in said
    assert "may run" in said and "if what m:t/convert makes has changed" in said
    space.sync()
    assert "will run" not in space.run("why", "m:t").stdout


def test_a_source_that_changes_while_it_is_read_is_not_recorded(space, tmp_path):
    """The pin is compared with what arrives, so the wrong bytes never get the right name."""
    from cortexbuild.core.digest import Digest, File, Tree
    from cortexbuild.core.lock import Pinned
    from cortexbuild.errors import IntegrityError
    from cortexbuild.sources.path import fetch
    from cortexbuild.store.delivery import StoreDelivery
    from cortexbuild.store.local import LocalStore
    from cortexbuild.store.scratch import scratch

    store = LocalStore(tmp_path / "s")
    tree = Tree((File("config.json", Digest("0" * 64), 23),))
    with scratch(store.root) as folder:
        delivery = StoreDelivery(store, tree, folder, lambda done, total: None)
        with pytest.raises(IntegrityError, match="`config.json` is not what was pinned"):
            fetch(Pinned("path:weights", tree, {}), space.root, delivery)
    assert list(store.blobs()) == []
    store.close()


def test_the_python_api_builds_and_gives_paths(space, monkeypatch):
    import cortexbuild

    monkeypatch.setenv("CORTEX_HOME", str(space.home))
    monkeypatch.setenv("PYTHONPATH", space.environment()["PYTHONPATH"])
    monkeypatch.syspath_prepend(str(PLUGIN))
    paths = cortexbuild.sync(manifest=space.root / "cortex.yaml", jobs=2)
    assert paths == {"m:t": space.home / "quantized_models" / "m--t"}
    assert cortexbuild.open_manifest(space.root / "cortex.yaml").plan.goals.keys() == {"m:t"}
    space.write("cortex.yaml", "schema: 1\nmodls: {}\n")
    with pytest.raises(cortexbuild.errors.ManifestError, match="unknown key"):
        cortexbuild.open_manifest(space.root / "cortex.yaml")
