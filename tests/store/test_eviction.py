"""What garbage collection stands on: the choice, who uses the store, and taking bytes away."""

from __future__ import annotations

import fcntl
import json
import math
import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexbuild.app.inventory import Hold, Seen, below, inventory
from cortexbuild.core.digest import Digest, File, Tree, digest_bytes
from cortexbuild.core.eviction import Artifact, Rank, Stored, choose, sizes_by_rank
from cortexbuild.core.step import Trace, key_of
from cortexbuild.errors import BusyError, StoreError
from cortexbuild.store.census import census, debris
from cortexbuild.store.freeing import free_files, free_folders
from cortexbuild.store.index import DAY
from cortexbuild.store.local import LocalStore
from cortexbuild.store.roots import Root, all_roots, keep_root, root_of
from cortexbuild.store.scratch import scratch
from cortexbuild.store.storelock import holders, store_lock

SIZES = {Digest(f"{n:064x}"): n * 100 for n in range(8)}
files = st.lists(st.sampled_from(sorted(SIZES)), max_size=4, unique=True)
stores = st.lists(
    st.builds(
        lambda n, rank, seconds, used, digests: Artifact(
            Digest(f"{n:064d}"), f"step {n % 3}", "convert", rank, seconds, used,
            {digest: SIZES[digest] for digest in digests},
        ),
        st.integers(0, 99), st.sampled_from(Rank), st.sampled_from([0.0, 1.0, 60.0]),
        st.integers(0, 9).map(float), files,
    ),
    max_size=8, unique_by=lambda artifact: artifact.name,
)  # fmt: skip
asked = st.fixed_dictionaries(
    {
        "keep": st.integers(0, 3000),
        "before": st.sampled_from([math.inf, 0.0, 5.0]),
        "only_copies": st.booleans(),
    }
)


def left_after(artifacts, choice):
    gone = {digest for one in choice.gone for digest in one.files}
    return [
        Artifact(
            a.name, a.label, a.kind, a.rank, a.seconds, a.used,
            {digest: size for digest, size in a.files.items() if digest not in gone},
        )
        for a in artifacts
    ]  # fmt: skip


def protected(artifacts, before, only_copies):
    most = Rank.ONLY_COPY if only_copies else Rank.SOURCE
    return {d for a in artifacts if a.rank > most or a.used >= before for d in a.files}


@settings(max_examples=300, deadline=None)
@given(stores, asked)
def test_what_is_chosen_is_allowed_enough_and_in_order(artifacts, ask):
    choice = choose(artifacts, **ask)
    gone = [digest for one in choice.gone for digest in one.files]
    assert len(gone) == len(set(gone)), "a file goes once"
    safe = protected(artifacts, ask["before"], ask["only_copies"])
    assert not safe & set(gone), "what is live or young stays, whatever it is shared with"
    ranks = [one.artifact.rank for one in choice.gone]
    assert ranks == sorted(ranks)
    everything = {digest: size for a in artifacts for digest, size in a.files.items()}
    assert choice.before == sum(everything.values())
    assert choice.after == choice.before - sum(everything[digest] for digest in gone)
    assert choice.after <= ask["keep"] or set(gone) == everything.keys() - safe
    if choice.gone:
        assert choice.after + choice.gone[-1].size > ask["keep"], "and not one too many"
    for one in choice.gone:  # a shared file goes with the last and highest that has it
        holders_of = [a for a in artifacts if a.files.keys() & one.files.keys()]
        assert all(a.rank <= one.artifact.rank for a in holders_of)


@settings(max_examples=200, deadline=None)
@given(stores, asked)
def test_choosing_again_finds_nothing_more(artifacts, ask):
    again = choose(left_after(artifacts, choose(artifacts, **ask)), **ask)
    assert [one for one in again.gone if one.size] == []


@settings(max_examples=200, deadline=None)
@given(stores, asked)
def test_the_order_of_the_question_changes_nothing(artifacts, ask):
    one, other = choose(artifacts, **ask), choose(artifacts[::-1], **ask)
    assert [(g.artifact.name, dict(g.files)) for g in one.gone] == [
        (g.artifact.name, dict(g.files)) for g in other.gone
    ]


def artifact(name, rank=Rank.INTERMEDIATE, seconds=0.0, used=0.0, size=100, shared=None):
    digest = digest_bytes(name.encode())
    return Artifact(
        digest, name, "convert", rank, seconds, used, {shared or digest: size, digest: size}
    )


def names(choice):
    return [one.artifact.label for one in choice.gone]


def test_within_a_rank_the_cheapest_to_make_again_for_each_byte_goes_first():
    slow, quick = artifact("slow", seconds=100.0, size=1000), artifact("quick", seconds=20.0)
    assert names(choose([quick, slow])) == ["slow", "quick"], "a large one frees more for its time"
    old, young = artifact("z", used=1.0), artifact("a", used=2.0)
    assert names(choose([young, old])) == ["z", "a"]
    assert names(choose([artifact("b"), artifact("a")])) == ["a", "b"]


def test_what_a_higher_rank_shares_counts_for_nothing():
    shared = digest_bytes(b"shared")
    target = Artifact(shared, "target", "convert", Rank.TARGET, 0.0, 0.0, {shared: 10_000})
    sharing = Artifact(
        digest_bytes(b"x"), "sharing", "convert", Rank.INTERMEDIATE, 10.0, 0.0,
        {shared: 10_000, digest_bytes(b"y"): 10},
    )  # fmt: skip
    alone = artifact("alone", seconds=50.0)
    assert names(choose([sharing, alone, target])) == ["alone", "sharing"]
    assert choose([sharing, alone, target]).after == 10_000
    assert sizes_by_rank([sharing, alone, target], frozenset()) == {
        Rank.INTERMEDIATE: 110, Rank.TARGET: 10_000
    }  # fmt: skip


# -- what is there for what


def trace(kind, out, inputs=(), seconds="1", **made):
    tree = Tree((File("f", digest_bytes(out.encode()), len(out)),))
    ingredients = {
        "schema": 1, "kind": kind, "tool": {}, "format": "", "params": {"of": out},
        "inputs": {"model": {f"{n}": digest_bytes(i.encode()) for n, i in enumerate(inputs)}},
    }  # fmt: skip
    return Trace(key_of(ingredients), ingredients, tree, f"m/{kind}", {"seconds": seconds, **made})


SOURCE = trace("fetch", "source", origin="path:weights")
FACTS = trace("detect", "facts", ["source"])
MIDDLE = trace("convert", "middle", ["source", "facts"])
TARGET = trace("quantize", "target", ["middle"])
CHECK = trace("validate", "check", ["target", "scores"])
SCORES = trace("measure", "scores", ["source"])
OTHER = trace("quantize", "other", ["middle"])
ALL = (SOURCE, FACTS, MIDDLE, TARGET, CHECK, SCORES, OTHER)


def seen(holds=(), shown=None, more=(), spare=False):
    stored = {f.digest: Stored(f.size, 5.0, 0.0) for t in ALL for f in t.tree.files}
    stored |= dict(more)
    return Seen(stored, ALL, holds, shown or {}, 1e6, spare)


def ranks(seen, can_fetch=lambda origin, tree: True):
    return {a.label.partition(" ")[0].removeprefix("m/") + a.name[:0]: a.rank
            for a in inventory(seen, can_fetch) if a.name != OTHER.tree.digest}  # fmt: skip


def test_each_artifact_is_there_for_something():
    hold = Hold(Path("p"), {TARGET.key, CHECK.key}, {SOURCE.tree.digest}, {})
    assert ranks(seen([hold])) == {
        "fetch": Rank.SOURCE, "detect": Rank.FINDING, "convert": Rank.INTERMEDIATE,
        "quantize": Rank.TARGET, "validate": Rank.TARGET, "measure": Rank.FINDING,
    }  # fmt: skip
    assert ranks(seen()) == {
        "fetch": Rank.OLD_SOURCE, "detect": Rank.INTERMEDIATE, "convert": Rank.INTERMEDIATE,
        "quantize": Rank.OLD_TARGET, "validate": Rank.OLD_TARGET, "measure": Rank.INTERMEDIATE,
    }  # fmt: skip
    (other,) = [a for a in inventory(seen([hold]), lambda *_: True) if a.label == "m/quantize"
                and a.rank != Rank.TARGET]  # fmt: skip
    assert other.rank == Rank.OLD_TARGET


def test_a_view_keeps_what_it_shows_whoever_made_it():
    shown = {"mlx_models/x": (TARGET.tree.digest, frozenset())}
    found = ranks(seen(shown=shown))
    assert (found["quantize"], found["detect"]) == (Rank.TARGET, Rank.FINDING)
    strange = digest_bytes(b"strange")
    shown = {"mlx_models/y": (digest_bytes(b"a tree of which no record is left"), {strange})}
    found = ranks(seen(shown=shown, more={strange: Stored(7, 0.0, 0.0)}))
    assert found["mlx_models/y"] == Rank.TARGET


def test_a_source_that_cannot_be_fetched_again_is_an_only_copy():
    asked = []
    found = ranks(seen(), lambda origin, tree: asked.append(origin) or False)
    assert (found["fetch"], asked) == (Rank.ONLY_COPY, ["path:weights"])
    assert ranks(seen(spare=True), lambda origin, tree: True)["fetch"] == Rank.SPARED


def test_files_without_a_record_are_left_alone_for_an_hour():
    old, new, half = (digest_bytes(text) for text in (b"old", b"new", b"half"))
    more = {old: Stored(1, 0.0, 1e6 - 3601), new: Stored(1, 0.0, 1e6 - 3599)}
    pin = Tree((File("a", half, 4), File("b", digest_bytes(b"not yet here"), 9)))
    hold = Hold(Path("p"), set(), set(), {"hf:a/b": pin})
    found = ranks(seen([hold], more={**more, half: Stored(4, 0.0, 0.0)}))
    assert (found[old[:12]], found[new[:12]]) == (Rank.UNUSED, Rank.NEW)
    assert found["hf:a/b"] == Rank.SOURCE, "a fetch that was broken off is gone on with"


def test_what_a_target_was_made_from_is_found_by_what_was_read():
    everything = {t.key for t in ALL}
    assert below(ALL, {CHECK.key}) == everything - {OTHER.key}
    assert below(ALL, {MIDDLE.key}) == {MIDDLE.key, SOURCE.key, FACTS.key}
    assert below(ALL, {key_of({"kind": "none"})}) == set()


# -- on the disk


@pytest.fixture
def store(tmp_path):
    opened = LocalStore(tmp_path / "home" / "build" / "v1")
    yield opened
    opened.close()


def put(store, **contents):
    with scratch(store.root) as folder:
        (folder / "out").mkdir()
        for name, text in contents.items():
            (folder / "out" / name).write_text(text)
        tree = store.add_folder(folder / "out")
        store.place(tree, folder)
    return tree


def test_the_space_of_a_freed_file_is_free_and_the_others_are_not_read_again(store):
    one, other = put(store, a="only one", shared="both"), put(store, b="other", shared="both")
    reader = store.blob(one.find("a").digest).open()
    found = census(store)
    assert not any(file.elsewhere for file in found.files.values())
    free_folders(store, {one.digest: found.folders[one.digest].files})
    free_files(store, [one.find("a").digest])
    assert os.fstat(reader.fileno()).st_nlink == 0, "no name of it is left"
    assert reader.read() == "only one", "and who has it open reads on"
    reader.close()
    shared = store.blob(other.find("shared").digest)
    assert str(shared.stat().st_ctime_ns) in store.index.blob(other.find("shared").digest).stat
    assert store.is_placed(other)
    assert set(census(store).folders) == {other.digest}


def test_a_file_with_a_name_elsewhere_is_known_to_free_nothing(store):
    tree = put(store, a="adopted")
    os.link(store.blob(tree.files[0].digest), store.root / "in-another-cache")
    assert census(store).files[tree.files[0].digest].elsewhere


def test_the_last_use_is_known_to_a_day_and_read_from_the_disk_without_an_index(store):
    tree = put(store, a="used")
    digest = tree.files[0].digest
    assert store.index.uses()[digest] == pytest.approx(time.time(), abs=60)
    store.index._db.execute("update blob set used=?", (time.time() - DAY / 2,))
    before = store.index.uses()
    store.note_use(tree)
    assert store.index.uses() == before, "nothing is written twice a day"
    store.index._db.execute("update blob set used=5")
    os.link(store.blob(digest), store.root / "another-name")
    assert store.check_blob(tree.files[0]), "it has another ctime, and is read"
    assert census(store).files[digest].used == 5, "being looked at is no use"
    store.note_use(tree)
    assert store.index.uses()[digest] > 5
    store.index.forget_blob(digest)
    stat = store.blob(digest).stat()
    assert census(store).files[digest].used == max(stat.st_atime, stat.st_ctime)


def test_debris_is_what_nobody_holds(store):
    for name in ("partial", "corrupt", "seals", "tmp/999999999-dead"):
        (store.root / name).mkdir(exist_ok=True)
        (store.root / name / "left").write_text("12345")
    with scratch(store.root) as held:
        found = debris(store, time.time() + 60)
        assert held not in found
    assert {path.parent.name: size for path, size in found.items()} == {
        "partial": 5, "corrupt": 5, "seals": 5, "tmp": 5
    }  # fmt: skip
    assert {path.parent.name for path in debris(store, time.time() - 60)} == {"tmp"}


def test_bytes_go_only_while_nobody_else_uses_the_store(store):
    with store_lock(store.root, "sync", print), store_lock(store.root, "verify", print):
        assert len(holders(store.root)) == 2
        with (
            pytest.raises(BusyError, match=r"in use by pid .*\((sync|verify), since .* and pid"),
            store_lock(store.root, "cache gc", print, 0.0, alone=True),
        ):
            pass
    assert holders(store.root) == []
    with (
        store_lock(store.root, "cache gc", print, 0.0, alone=True),
        pytest.raises(BusyError, match=r"\(cache gc, since"),
        store_lock(store.root, "sync", print, 0.1),
    ):
        pass
    assert list((store.root / "locks" / "holders").iterdir()) == []


def test_who_was_killed_holds_nothing_and_is_named_by_nobody(store):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from cortexbuild.store.storelock import store_lock\n"
        "with store_lock(Path(sys.argv[1]), 'sync', print):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store.root)])
    assert done.returncode == -signal.SIGKILL
    assert len(list((store.root / "locks" / "holders").iterdir())) == 1
    assert holders(store.root) == []
    with store_lock(store.root, "cache gc", print, 0.0, alone=True):
        assert len(list((store.root / "locks" / "holders").iterdir())) == 1, "its own"


def test_who_waits_for_long_says_for_whom(store):
    said = []
    handle = os.open(store.root / "locks" / "store.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(BusyError), store_lock(store.root, "sync", said.append, 2.2):
        pass
    os.close(handle)
    assert said == ["sync waits for another process"]


@pytest.mark.parametrize("moment", [0, 3, 7])
def test_killed_while_it_frees_every_file_is_there_whole_or_not_at_all(store, moment):
    tree = put(store, **{f"f{n}": f"content {n}" for n in range(8)})
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from cortexbuild.core.digest import Digest\n"
        "from cortexbuild.store.freeing import free_files, free_folders\n"
        "from cortexbuild.store.local import LocalStore\n"
        "store = LocalStore(Path(sys.argv[1]))\n"
        "def some(names):\n"
        "    for number, name in enumerate(names):\n"
        "        if number == int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "        yield Digest(name)\n"
        "names = sys.argv[4:]\n"
        "free_folders(store, {Digest(sys.argv[3]): [Digest(name) for name in names]})\n"
        "free_files(store, some(names))\n"
    )
    digests = [file.digest for file in tree.files]
    done = subprocess.run(
        [sys.executable, "-c", code, str(store.root), str(moment), tree.digest, *digests]
    )
    assert done.returncode == -signal.SIGKILL
    fresh = LocalStore(store.root)
    there = [file for file in tree.files if fresh.check_blob(file)]
    assert len(there) == len(tree.files) - moment
    assert not (store.root / "corrupt").exists()
    assert put(fresh, **{f"f{n}": f"content {n}" for n in range(8)}) == tree
    assert fresh.is_placed(tree)
    fresh.close()


def test_a_root_of_an_earlier_version_is_read_and_a_damaged_one_is_an_error(store, tmp_path):
    root = root_of(store.root, tmp_path)
    assert (root.views, root.keys, root.seen) == (frozenset(), frozenset(), date.min)
    assert keep_root(store.root, Root(root.name, tmp_path, frozenset({"v"}), seen=date(2025, 1, 2)))
    (path,) = (store.root / "roots").iterdir()
    value = json.loads(path.read_text())
    path.write_text(json.dumps({"project": value["project"], "views": ["v"]}))
    (old,) = all_roots(store.root)
    assert (old.views, old.keys, old.sources) == ({"v"}, frozenset(), frozenset())
    assert old.seen >= date(2025, 1, 2), "when it was written"
    path.write_text("{")
    assert root_of(store.root, tmp_path).views == frozenset()
    with pytest.raises(StoreError, match="cannot be read"):
        all_roots(store.root)
