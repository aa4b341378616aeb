"""See that a GGUF file has the tokens of the Hugging Face folder that it was made from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.ports import Tool
from ..errors import ToolError
from ..runtimes.llama_library import GgufFile

TOOLS: tuple[Tool, ...] = ()  # part of the tool `gguf`

TEXT = Path(__file__).parent.parent / "quality" / "evaluation.txt"

CODE = '''\
def read_lines(path: str, *, limit: int = 1_000) -> list[str]:
    """Read at most `limit` lines; it's 3.14159 or 0xFF, we'll see."""
\twith open(path, encoding="utf-8") as file:
        return [line.rstrip("\\r\\n") for line in file][:limit]   # TODO: don't


if __name__ == "__main__":
    print(f"{read_lines('a.txt')!r:>20}", end="\\n\\n")
<p class="x">Größe: 12345 €, naïve – café; 東京は日本の首都です。 Привет, мир! שלום 🙂👍🏽</p>
x=[1,22,333,4444];y = {"k": None}  ;  /* C */  a->b != c::d && !e || f >>= 2;
'''

SPACED = "   three spaces in front"
MOST_SPECIAL = 64


def check_tokens(source: Path, file: Path) -> None:
    """Raises ToolError where the two tokenizers differ: on prose, on code, on special tokens.

    One difference is known and only said in the log. For a SentencePiece vocabulary llama.cpp
    puts a space before each stretch of text: one more before a text that begins with spaces, and
    one after a special token. Newer tokenizers of Hugging Face do so at the very beginning alone,
    and never before a space. Every program that runs the file with llama.cpp has that difference.
    """
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    ours = GgufFile(file, only_vocabulary=True)

    def both(text: str) -> tuple[list[int], list[int]]:
        return list(theirs(text)["input_ids"]), ours.encode(text)

    try:
        added = theirs.added_tokens_decoder
        special = [added[token].content for token in sorted(added) if added[token].special]
        mixed = "".join(f"a{token}b" for token in special[:MOST_SPECIAL])
        for text in (TEXT.read_text(), CODE):
            _compare(theirs, *both(text))
        _compare(theirs, *([token for token in ids if token in added] for ids in both(mixed)))
        for text in (SPACED, mixed):
            if not ours.is_sentencepiece:
                _compare(theirs, *both(text))
            elif len(set(map(tuple, both(text)))) > 1:
                sys.stderr.write(f"tokens differ in spaces of llama.cpp's own: {text[:40]!r}\n")
    finally:
        ours.close()


def _compare(theirs: Any, expected: Sequence[int], got: Sequence[int]) -> None:
    pairs = enumerate(zip(expected, got, strict=False))
    differ = [at for at, (a, b) in pairs if a != b]
    if not differ and len(expected) == len(got):
        return
    at = differ[0] if differ else min(len(expected), len(got))
    before = theirs.decode(expected[max(0, at - 8) : at])
    a, b = (theirs.convert_ids_to_tokens(list(ids[at : at + 3])) for ids in (expected, got))
    raise ToolError(
        f"llama.cpp would read text in other tokens than the source's tokenizer does: after "
        f"{before!r} it has {b}, not {a}",
        hint="the model would not be the same; build it for another runtime, as with `mlx-4bit`",
    )
