"""Weights made on the way: how long their bytes are kept, and whose they are."""

from __future__ import annotations

import json

from cortexbuild.store.local import LocalStore
from cortexbuild.store.storelock import alone_for_now, store_lock

SHORT, LONG = {"keep": 4}, {"keep": 6}


def has_bytes(space, label):
    """Whether what a step made is in the store."""
    store = LocalStore(space.store)
    try:
        (trace,) = [trace for trace in store.traces() if trace.label == label]
        return store.has_tree(trace.tree)
    finally:
        store.close()


def forget_intermediates(space, **targets):
    space.manifest(**targets)
    text = (space.root / "cortex.yaml").read_text()
    space.write("cortex.yaml", text + "cache: {keep_intermediates: false}\n")


def test_a_sync_drops_what_lies_between_and_the_next_one_has_nothing_to_do(space):
    forget_intermediates(space, a=SHORT, b=LONG)
    assert sorted(space.sync()).count("convert") == 1
    assert not has_bytes(space, "m/convert") and has_bytes(space, "m/fetch")
    assert (space.text("m--a"), space.text("m--b")) == ("HELL", "HELLO ")
    assert space.sync() == []
    space.run("verify")


def test_an_edit_makes_it_again_and_plan_says_so(space):
    forget_intermediates(space, a=SHORT, b=LONG)
    space.sync()
    forget_intermediates(space, a=SHORT, b={"keep": 5})
    plan = json.loads(space.run("plan", "--json").stdout)
    states = {step["id"]: step["state"] for step in plan["steps"]}
    assert states["m/convert"] == "will-run" and states["m:a/quantize"] == "fresh"
    assert "what it made is not here any more" in space.run("plan").stdout
    assert space.sync() == ["convert", "quantize", "validate"]
    assert space.text("m--b") == "HELLO" and not has_bytes(space, "m/convert")


def test_they_are_kept_unless_one_says_otherwise(space):
    space.manifest(a=SHORT)
    space.sync()
    assert has_bytes(space, "m:a/convert")
    space.manifest(a={"keep": 3})
    space.sync("--no-intermediates")
    assert not has_bytes(space, "m:a/convert"), "it was there before, and is nobody else's"


def test_what_another_project_was_made_from_and_was_there_stays(space, tmp_path):
    space.manifest(a=SHORT)
    space.sync()
    other = tmp_path / "other"
    other.mkdir()
    for name in ("weights", "recipes"):
        (other / name).symlink_to(space.root / name)
    text = (space.root / "cortex.yaml").read_text().replace('"keep": 4', '"keep": 3')
    (other / "cortex.yaml").write_text(text)
    space.run("sync", "-C", str(other), "--no-intermediates")
    assert has_bytes(space, "m:a/convert")


def test_what_is_a_target_of_another_project_stays(space, tmp_path):
    """There it is no intermediate; and it was made and is shown before the bytes would go."""
    other = tmp_path / "other"
    (other / "recipes").mkdir(parents=True)
    (other / "weights").symlink_to(space.root / "weights")
    (other / "recipes" / "plain.yaml").write_text(
        "schema: 1\nsummary: as it is\nsteps:\n  - {do: convert, tool: text}\n"
    )
    (other / "cortex.yaml").write_text(
        "schema: 1\nmodels:\n  n:\n    source: path:weights\n    targets: {t: {recipe: plain}}\n"
    )
    space.run("sync", "-C", str(other))
    space.manifest(a=SHORT)
    space.sync("--no-intermediates")
    assert space.text("n--t") == "HELLO WORLD" and has_bytes(space, "n:t/convert")
    space.run("verify")


def test_beside_another_command_nothing_goes(space):
    space.manifest(a=SHORT)
    store = LocalStore(space.store)
    try:
        with store_lock(space.store, "another", lambda _: None):
            space.sync("--no-intermediates")
        assert has_bytes(space, "m:a/convert")
    finally:
        store.close()


def test_one_of_many_is_alone_for_now_only_if_there_is_no_other(space):
    LocalStore(space.store).close()

    def quiet(_):
        pass

    with store_lock(space.store, "one", quiet):
        with alone_for_now(space.store) as alone:
            assert alone
            with alone_for_now(space.store) as again:
                assert not again, "two would take bytes away at once"
        with store_lock(space.store, "two", quiet), alone_for_now(space.store) as alone:
            assert not alone
        with alone_for_now(space.store) as alone:
            assert alone


def test_what_a_sync_is_for_stays_even_if_it_is_on_the_way_to_a_target(space):
    forget_intermediates(space, a=SHORT)
    assert space.sync("--until", "convert")[-1] == "convert"
    assert has_bytes(space, "m:a/convert")


def test_nothing_goes_while_it_is_not_known_what_some_project_counts_on(space):
    space.manifest(a=SHORT)
    LocalStore(space.store).close()
    (space.store / "roots" / f"{'0' * 64}.json").write_text("damaged")
    assert space.sync("--no-intermediates")[-1] == "validate"
    assert has_bytes(space, "m:a/convert")
