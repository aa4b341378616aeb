"""What the local store promises: whole or absent, first one wins, and no wrong byte handed out."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from shutil import rmtree
from threading import Barrier, Event

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from store.disks import Before, Lacking

from cortexbuild.core.digest import File, Tree, digest_bytes
from cortexbuild.core.step import Trace, key_of
from cortexbuild.errors import IntegrityError, StoreError
from cortexbuild.store import disk, ingest
from cortexbuild.store.blobs import files_in
from cortexbuild.store.delivery import StoreDelivery
from cortexbuild.store.hashing import CHUNK, Sums, sums_of, xxh3_of
from cortexbuild.store.ingest import copy_summed
from cortexbuild.store.local import LocalStore
from cortexbuild.store.looking import Look, read_again, stat_of
from cortexbuild.store.scratch import scratch, sweep
from cortexbuild.store.system import replaced
from cortexbuild.store.together import together
from cortexbuild.store.traces import trace_from_text

INGREDIENTS = {
    "schema": 1,
    "kind": "convert",
    "tool": {},
    "format": "x",
    "params": {},
    "inputs": {},
}
KEY = key_of(INGREDIENTS)


@pytest.fixture
def store(tmp_path):
    opened = LocalStore(tmp_path / "store")
    yield opened
    opened.close()


def put(store, text="hello", ingredients=INGREDIENTS):
    with scratch(store.root) as folder:
        (folder / "out").mkdir()
        (folder / "out" / "model.txt").write_text(text)
        tree = store.add_folder(folder / "out")
        trace = Trace(key_of(ingredients), ingredients, tree, "m:t/convert", {"seconds": "1.0"})
        return store.keep_trace(trace, folder)


def reopened(store):
    return LocalStore(store.root)


def flip(path):
    """Change one byte and put the size and the mtime back as they were."""
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_what_was_kept_comes_back(store):
    kept = put(store)
    assert store.trace(KEY, INGREDIENTS) == kept
    assert store.has_tree(kept.tree)
    assert store.blob(kept.tree.files[0].digest).read_text() == "hello"


def test_the_first_record_of_a_key_wins(store):
    first = put(store, "one")
    assert put(store, "two") == first
    assert store.read_trace(KEY).tree == first.tree


def test_a_record_whose_bytes_are_lost_gives_way_to_a_new_one(store):
    lost = put(store, "one")
    disk.remove(store.blob(lost.tree.files[0].digest))
    fresh = reopened(store)
    assert not fresh.has_tree(lost.tree)
    assert put(fresh, "two").tree != lost.tree
    fresh.close()


def test_files_are_read_only_and_kept_once(store):
    tree = put(store, "same").tree
    put(store, "same", {**INGREDIENTS, "format": "y"})
    assert store.blob(tree.files[0].digest).stat().st_mode & 0o222 == 0
    assert len(list(store.blobs())) == 1


def test_a_flipped_byte_is_noticed_though_size_and_mtime_are_kept(store):
    tree = put(store).tree
    flip(store.blob(tree.files[0].digest))
    fresh = reopened(store)
    assert not fresh.has_tree(tree)
    assert [path.name for path in (store.root / "corrupt").iterdir()] == [tree.files[0].digest]
    fresh.close()


def test_a_record_that_tells_a_wrong_size_does_no_harm_to_the_file_it_names(store):
    tree = put(store).tree
    (file,) = tree.files
    wrong = Tree.of([replace(file, size=file.size + 1)])
    assert not reopened(store).has_tree(wrong)
    fresh = reopened(store)
    assert fresh.has_tree(tree) and not (store.root / "corrupt").exists()
    fresh.close()


def test_a_damaged_file_disappears_from_the_folders_that_show_it(store):
    tree = put(store).tree
    with scratch(store.root) as folder:
        shown = store.place(tree, folder)
    flip(store.blob(tree.files[0].digest))
    fresh = reopened(store)
    assert not fresh.has_tree(tree)
    assert not (shown / "model.txt").exists()
    fresh.close()


def test_a_damaged_file_disappears_though_a_folder_that_shows_it_goes_meanwhile(store):
    trees = [put(store).tree]
    trees += [Tree((replace(trees[0].files[0], path=name),)) for name in ("b.txt", "c.txt")]
    with scratch(store.root) as folder:
        shown = sorted(store.place(tree, folder) for tree in trees)
    flip(store.blob(trees[0].files[0].digest))
    fresh = reopened(store)
    with replaced(Before("unlink", lambda _: rmtree(shown[1]))):
        assert not fresh.has_tree(trees[0])
    assert files_in(store.root / "trees") == []
    fresh.close()


def test_a_folder_that_goes_while_it_is_looked_through_is_no_error(tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    scandir = os.scandir

    def gone(path):
        if str(path) == str(tmp_path / "a"):
            rmtree(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", gone)
    assert files_in(tmp_path) == [tmp_path / "b" / "file"]


def test_a_damaged_folder_that_another_process_takes_away_is_placed_anew(store):
    tree = put(store).tree
    with scratch(store.root) as folder:
        shown = store.place(tree, folder)
    (shown / "stray").touch()
    with scratch(store.root) as folder, replaced(Before("rename", lambda *_: rmtree(shown))):
        store.place(tree, folder)
    assert store.is_placed(tree)


def test_a_file_that_has_all_the_links_it_can_have_is_copied(store):
    tree = put(store).tree
    other = Tree((replace(tree.files[0], path="other.txt"),))
    with scratch(store.root) as folder:
        store.place(tree, folder)
        with replaced(Lacking("link", errno.EMLINK)):
            shown = store.place(other, folder)
    assert store.is_placed(other)
    (shown / "other.txt").chmod(0o600)
    (shown / "other.txt").write_text("HELP")
    assert not store.is_placed(other)


def test_a_step_is_never_shown_a_damaged_input(store, tmp_path):
    tree = put(store).tree
    assert store.has_tree(tree)  # this process has found it right, a moment ago
    flip(store.blob(tree.files[0].digest))
    with pytest.raises(IntegrityError, match=r"`model.txt` .* is damaged or gone"):
        store.stage(tree, tmp_path / "in")


def pretend_untouched(store, digest):
    """As if the bytes had changed on the disk itself: no stat tells."""
    path = store.blob(digest)
    store.index.correct_blob(digest, stat_of(path), store.index.blob(digest).xxh3)


def test_what_a_stat_cannot_tell_is_found_by_reading_alone(store, tmp_path):
    tree = put(store).tree
    digest = tree.files[0].digest
    flip(store.blob(digest))
    pretend_untouched(store, digest)
    store.stage(tree, tmp_path / "in")  # an input whose stat is as it was is not read
    with pytest.raises(IntegrityError, match=r"`model.txt` .* is damaged or gone"):
        store.check_blobs(tree.files)  # what others get is


def test_an_input_that_only_looks_touched_is_read_and_staged(store, tmp_path):
    tree = put(store).tree
    path = store.blob(tree.files[0].digest)
    os.utime(path)
    store.stage(tree, tmp_path / "in")
    assert (tmp_path / "in" / "model.txt").read_text() == "hello"
    assert store.index.blob(tree.files[0].digest).stat == stat_of(path)


def test_of_many_inputs_the_damaged_one_is_named_and_the_others_stay(store, tmp_path):
    with scratch(store.root) as folder:
        (folder / "out").mkdir()
        for number in range(9):
            (folder / "out" / f"part-{number}").write_text(f"{number}" * 100)
        tree = store.add_folder(folder / "out")
    for file in tree.files:
        os.utime(store.blob(file.digest))  # all must be read
    flip(store.blob(tree.find("part-4").digest))
    with pytest.raises(IntegrityError, match="`part-4`"):
        store.stage(tree, tmp_path / "in")
    assert {path.name for path in (store.root / "corrupt").iterdir()} == {
        tree.find("part-4").digest
    }


def test_a_truncated_file_is_no_file(store):
    tree = put(store).tree
    path = store.blob(tree.files[0].digest)
    path.chmod(0o644)
    path.write_bytes(b"he")
    fresh = reopened(store)
    assert not fresh.has_tree(tree)
    fresh.close()


def test_the_index_may_be_lost_or_damaged(store):
    tree = put(store).tree
    store.close()
    (store.root / "index.sqlite").write_bytes(b"this is not a database" * 100)
    fresh = reopened(store)
    assert fresh.has_tree(tree)
    fresh.close()


def test_a_drifted_file_is_read_once_and_then_believed(store):
    tree = put(store).tree
    path = store.blob(tree.files[0].digest)
    os.link(path, store.root / "another-name")  # changes its ctime
    fresh = reopened(store)
    assert fresh.has_tree(tree)
    assert fresh.index.blob(tree.files[0].digest).stat != ""
    fresh.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"convert"', '"quantize"'),
        lambda text: text.replace("model.txt", "../../model.txt"),
        lambda text: json.dumps({**json.loads(text), "tree": [["a", "b", 1]]}),
        lambda text: json.dumps({**json.loads(text), "tree": 7}),
    ],
    ids=["half", "empty", "a list", "another kind", "a path out", "no digest", "no tree"],
)
def test_a_damaged_record_is_no_record(store, damage):
    put(store)
    path = store.trace_path(KEY)
    text = path.read_text()
    path.chmod(0o644)
    path.write_text(damage(text))
    assert store.trace(KEY, INGREDIENTS) is None
    assert put(store).key == KEY  # and can be written again
    assert store.trace(KEY, INGREDIENTS) is not None


def test_a_record_put_under_another_key_is_not_believed(store):
    put(store)
    other = key_of({**INGREDIENTS, "format": "y"})
    store.trace_path(other).parent.mkdir(parents=True, exist_ok=True)
    store.trace_path(other).write_text(store.trace_path(KEY).read_text())
    assert store.read_trace(other) is None


def test_a_placed_tree_is_a_folder_of_the_very_files_in_the_store(store):
    tree = put(store).tree
    with scratch(store.root) as folder:
        shown = store.place(tree, folder)
    assert (shown / "model.txt").samefile(store.blob(tree.files[0].digest))
    assert store.is_placed(tree)
    (shown / "stray").write_text("put here by someone")
    assert not store.is_placed(tree)
    with scratch(store.root) as folder:
        store.place(tree, folder)
    assert store.is_placed(tree)


def test_placing_does_not_make_the_store_read_files_again(store):
    tree = put(store).tree
    with scratch(store.root) as folder:
        store.place(tree, folder)
    digest = tree.files[0].digest
    stat = store.blob(digest).stat()
    assert str(stat.st_ctime_ns) in store.index.blob(digest).stat


def test_a_link_in_an_output_is_replaced_by_what_it_shows(store, tmp_path):
    (tmp_path / "elsewhere").write_text("hello")
    with scratch(store.root) as folder:
        (folder / "out").mkdir()
        (folder / "out" / "linked").symlink_to(tmp_path / "elsewhere")
        tree = store.add_folder(folder / "out")
    assert tree.files == (File("linked", digest_bytes(b"hello"), 5),)
    assert (tmp_path / "elsewhere").read_text() == "hello"
    assert (tmp_path / "elsewhere").stat().st_mode & 0o200  # not ours: left writable


def test_a_link_in_an_output_to_a_file_of_the_store_is_that_file(store):
    tree = put(store).tree
    before = store.blob(tree.files[0].digest).stat()
    with scratch(store.root) as folder:
        (folder / "in").mkdir()
        store.stage(tree, folder / "in")
        (folder / "out").mkdir()
        (folder / "out" / "kept.txt").symlink_to(folder / "in" / "model.txt")
        kept = store.add_folder(folder / "out")
    assert kept.files == (File("kept.txt", tree.files[0].digest, tree.files[0].size),)
    assert store.blob(tree.files[0].digest).stat() == before


def test_an_output_that_is_still_written_to_is_refused(store, monkeypatch):
    def and_more(path):
        sums = sums_of(path)
        with path.open("ab") as late:
            late.write(b"!")
        return sums

    monkeypatch.setattr(ingest, "sums_of", and_more)
    with pytest.raises(StoreError, match="`model.txt` was still written to"):
        put(store)
    assert list(store.blobs()) == []


def test_scratch_is_always_cleaned(store):
    with pytest.raises(RuntimeError), scratch(store.root):
        raise RuntimeError
    assert list((store.root / "tmp").iterdir()) == []


def test_what_the_dead_left_is_swept_and_the_living_is_not(store):
    dead = store.root / "tmp" / "999999999-abc"
    dead.mkdir()
    (dead / "half").write_text("HE")
    (store.root / "tmp" / "stray").write_text("x")
    with scratch(store.root) as folder:
        assert sweep(store.root) == 2
        assert folder.exists()


def test_what_another_process_has_put_right_meanwhile_stays(store):
    trace = put(store)
    (file, *_) = trace.tree.files
    before = store.blob(file.digest).stat().st_ino
    store.set_aside(file.digest)  # it was found wrong, and has been made again since
    assert store.blob(file.digest).stat().st_ino == before
    assert store.has_tree(trace.tree)
    path = store.trace_path(trace.key)
    store.quarantine(path, lambda taken: trace_from_text(taken.read_text()) == trace)
    assert store.read_trace(trace.key) == trace
    assert list((store.root / "corrupt").iterdir()) == []


def test_a_folder_in_the_place_of_a_record_is_set_aside(store):
    trace = put(store)
    path = store.trace_path(trace.key)
    path.unlink()
    path.mkdir()
    assert store.read_trace(trace.key) is None
    assert not path.exists()


def test_what_another_process_sets_aside_while_it_is_looked_at_is_gone(store):
    (file, *_) = put(store).tree.files
    look = Look(file, store.blob(file.digest), "another stat", None)
    look.path.unlink()
    assert read_again(look) == (False, "")


def test_an_unknown_layout_is_refused_and_left_alone(tmp_path):
    (tmp_path / "store.json").write_text('{"layout": 7}')
    with pytest.raises(StoreError, match="layout 7, this program knows 1") as caught:
        LocalStore(tmp_path)
    assert "the version of cortexbuild that wrote it" in caught.value.hint
    assert (tmp_path / "store.json").read_text() == '{"layout": 7}'
    assert [path.name for path in tmp_path.iterdir()] == ["store.json"]


def test_a_home_that_is_a_file_is_an_error_with_a_hint(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        LocalStore(tmp_path / "file")
    assert "CORTEX_HOME" in caught.value.hint


names = st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3})?", fullmatch=True)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, st.binary(max_size=64), min_size=1, max_size=6))
def test_any_folder_comes_back_as_it_was(tmp_path_factory, files):
    paths = set(files)
    if any(other.startswith(f"{path}/") for path in paths for other in paths):
        return  # a name cannot be a file and a folder
    root = tmp_path_factory.mktemp("any")
    store = LocalStore(root / "store")
    try:
        for path, content in files.items():
            (root / "out" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "out" / path).write_bytes(content)
        tree = store.add_folder(root / "out")
        assert {file.path: file.size for file in tree.files} == {
            path: len(content) for path, content in files.items()
        }
        with scratch(store.root) as folder:
            shown = store.place(tree, folder)
        for path, content in files.items():
            assert (shown / path).read_bytes() == content
        assert Tree.of(tree.files) == tree
    finally:
        store.close()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 17])
def test_both_sums_are_of_all_the_bytes(tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)
    xxh3 = xxhash.xxh3_128(content).hexdigest()
    assert sums_of(tmp_path / "f") == Sums(digest_bytes(content), xxh3, size)
    assert xxh3_of(tmp_path / "f") == xxh3
    assert copy_summed(tmp_path / "f", tmp_path / "copy") == sums_of(tmp_path / "f")
    assert (tmp_path / "copy").read_bytes() == content


def test_work_is_done_together_in_order_and_ends_at_the_first_error():
    both, never = Barrier(2, timeout=5), Event()

    def work(item):
        if item < 2:
            both.wait()  # alone neither would come back
        if item == 3:
            raise ValueError
        if item > 3:
            never.wait(0.01)
        done.append(item)
        return -item

    done = []
    came = together(work, range(1000))
    assert [next(came) for _ in range(3)] == [0, -1, -2]
    with pytest.raises(ValueError):
        next(came)
    assert len(done) < 999


def test_a_folder_that_is_being_made_is_not_swept(store):
    """Another process may sweep at any moment: before the lock is held, too."""
    swept = []
    other = Before("lock", lambda *_: swept.append(sweep(store.root)))
    with replaced(other), scratch(store.root) as folder:
        assert swept == [0]
        assert sweep(store.root) == 0
        (folder / "work").write_text("mine")
    assert not folder.exists()


def test_what_another_took_away_is_not_collected_into(store):
    """Its last holder moved the part away between the opening of it and the lock."""
    tree = Tree((File("a", digest_bytes(b"hello"), 5),))
    path = store.root / "partial" / f"{tree.files[0].digest}.part"
    with scratch(store.root) as folder:
        delivery = StoreDelivery(store, tree, folder, lambda *_: None)
        with replaced(Before("lock", lambda *_: path.unlink())):
            part = delivery.part(tree.files[0])
        assert part == path and path.exists()
        part.write_bytes(b"hello")
        delivery.take("a", part)
    assert store.has_tree(tree) and not path.exists()
