"""Names of content: golden, so that nobody changes every key by accident."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexbuild.core.digest import Digest, File, Tree, canonical, digest_value, plain_number
from cortexbuild.errors import IntegrityError

AA = Digest("a" * 64)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_digests_are_what_they_were_when_this_was_written():
    assert canonical({"b": [1, True, None], "a": "ü"}) == '{"a":"ü","b":[1,true,null]}'.encode()
    assert digest_value("t", {"a": 1}).startswith("371d982e5c3a5e4d2d2e1ae0a4e02409a7f0ed67")
    tree = Tree((File("config.json", AA, 3),))
    assert tree.digest.startswith("3775b77534612d96f923a3a61837be32148565650f4c9478")


@given(values, values)
def test_different_values_never_share_bytes(a, b):
    same = repr(a) == repr(b)
    if same:
        assert canonical(a) == canonical(b)
    elif canonical(a) == canonical(b):
        assert a == b  # maps in another order


def test_a_tag_keeps_kinds_of_record_apart():
    assert digest_value("step", ["x"]) != digest_value("tree", ["x"])


@pytest.mark.parametrize("value", [{1: "a"}, {"a": {2: "b"}}, 1.5, [b"x"], {"a": object()}])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(TypeError):
        canonical(value)


def test_numbers_are_written_in_one_way():
    assert plain_number(1e-5) == plain_number(0.00001) == "1e-05"
    assert plain_number(1) == "1.0"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../b", "a//b", "", ".", "a/.", "a\\b", "C:/x", "a\0b"]
)
def test_a_path_cannot_leave_its_tree(path):
    with pytest.raises(IntegrityError, match="leave its tree"):
        Tree((File(path, AA, 0),))


def test_paths_that_differ_only_in_case_are_refused():
    with pytest.raises(IntegrityError, match="differ only in case"):
        Tree.of([File("Config.json", AA, 0), File("config.json", AA, 0)])


def test_a_tree_is_sorted_and_names_no_file_twice():
    with pytest.raises(IntegrityError, match="sorted and unique"):
        Tree((File("b", AA, 0), File("a", AA, 0)))
    with pytest.raises(IntegrityError, match="sorted and unique"):
        Tree((File("a", AA, 0), File("a", Digest("b" * 64), 0)))


def test_a_projection_has_the_files_that_a_step_reads_and_no_others():
    tree = Tree.of([File("README.md", AA, 1), File("config.json", AA, 2), File("x/y.json", AA, 3)])
    assert list(tree.project(("*.json",))) == ["config.json", "x/y.json"]
    assert [file.path for file in tree.select(("config.json",)).files] == ["config.json"]


def test_order_is_kept_in_lists_and_dropped_in_maps():
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    assert canonical(["a", "b"]) != canonical(["b", "a"])
