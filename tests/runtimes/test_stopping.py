from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexbuild.runtimes.stopping import until_stop


@pytest.mark.parametrize(
    ("pieces", "stops", "text"),
    [
        (["abc", "def"], (), "abcdef"),
        (["abc", "def"], ("cd",), "ab"),
        (["a", "b", "c"], ("abc",), ""),
        (["aab"], ("ab", "aab"), ""),
        (["end", "in", "g"], ("ending!",), "ending"),
        (["b", "a", "a"], ("a", "baa"), "b"),
        (["baa"], ("a", "baa"), "b"),
    ],
)
def test_text_ends_before_the_first_stop(pieces, stops, text):
    assert "".join(until_stop(pieces, stops)) == text


@given(
    st.lists(st.text("ab", max_size=3)), st.lists(st.text("ab", min_size=1, max_size=4), max_size=2)
)
def test_pieces_make_no_difference(pieces, stops):
    whole = "".join(pieces)
    found = [(whole.find(stop) + len(stop), whole.find(stop)) for stop in stops if stop in whole]
    _, start = min(found, default=(0, len(whole)))
    assert "".join(until_stop(pieces, stops)) == whole[:start]


def test_what_cannot_be_the_start_of_a_stop_is_let_out_at_once():
    pieces = iter(["hello ", "<|im"])
    stream = until_stop(pieces, ("<|im_end|>",))
    assert next(stream) == "hello "
