"""Tokens as text while they come: what a token says depends on those before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

OVERLAP = 6
"""Tokens of the prompt that are decoded again with what follows: spaces and letters of several
bytes depend on the tokens before them."""
UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What decoding gives for a character of which some bytes are still missing."""


def text_pieces(
    decode: Callable[[Sequence[int]], str], prompt: Sequence[int], tokens: Iterable[int]
) -> Iterator[str]:
    """What `tokens` add to the text of `prompt`, each character whole."""
    before, new = list(prompt[-OVERLAP:]), []
    for token in tokens:
        new.append(token)
        piece = decode([*before, *new])[len(decode(before)) :]
        if piece and not piece.endswith(UNFINISHED):
            yield piece
            before, new = new, []
    if new and (piece := decode([*before, *new])[len(decode(before)) :]):
        yield piece
