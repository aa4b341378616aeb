from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cortexbuild.runtimes.pieces import text_pieces

WORDS = [
    b" the",
    b" a",
    b"b",
    b"\n",
    b" ",
    *(bytes([byte]) for byte in "\N{GRINNING FACE}".encode()),
]


def decode(tokens):
    """As SentencePiece does: the first space of a text is not part of it."""
    return b"".join(WORDS[token] for token in tokens).decode(errors="replace").removeprefix(" ")


TOKENS = st.lists(st.sampled_from([(0,), (1,), (2,), (3,), (4,), (5, 6, 7, 8)]), max_size=8).map(
    lambda groups: [token for group in groups for token in group]
)


@given(TOKENS.filter(bool), TOKENS)
def test_pieces_are_what_the_text_becomes_longer_by(prompt, tokens):
    pieces = list(text_pieces(decode, prompt, tokens))
    assert "".join(pieces) == decode([*prompt, *tokens])[len(decode(prompt)) :]
    assert all(pieces) and not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def test_a_character_that_is_never_whole_is_told_in_the_end():
    assert list(text_pieces(decode, [0], [0, 5, 6])) == [" the", "\N{REPLACEMENT CHARACTER}"]
