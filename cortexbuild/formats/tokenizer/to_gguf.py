"""A tokenizer.json as the fields of a GGUF file, so that llama.cpp gives the same ids.

Only tokenizers that llama.cpp has rules for: byte-level BPE cut into words in one of the ways of
`tables.py`, and SentencePiece's BPE. Special tokens and the chat template are left to the
`gguf` package, which reads them as llama.cpp's own converter does.

One difference is llama.cpp's own, whoever converts: where SentencePiece puts a space before a
text, llama.cpp puts one after each special token too, and a Metaspace that is "first" does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ToolError
from ..foreign import MAX_HEADER, parse_object, refuse, shown
from .fields import TokenType
from .tables import name_of_words, steps_of

_CONVERT = "`unpack` it and make the GGUF with llama.cpp's own converter"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_SPACE = "▁"
_UNREACHABLE = -10000.0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`tokenizer.ggml.*`: `scores` for SentencePiece, `merges` and `pre` for byte-level BPE.

    `strips` is whether a special token takes the spaces behind it, which GGUF cannot say.
    """

    model: str
    tokens: list[str]
    types: list[int]
    adds_bos: bool
    adds_eos: bool
    scores: list[float] | None = None
    merges: list[str] | None = None
    pre: str = "default"
    adds_space: bool | None = None
    strips: bool = False


def read_vocabulary(folder: Path, size: int) -> Vocabulary:
    """The tokenizer of a folder, for an embedding of `size` rows.

    Raises ToolError when there is no tokenizer.json, or one that llama.cpp has no rules for.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ToolError("there is no tokenizer.json in this model", hint=_CONVERT)
    if path.stat().st_size > MAX_HEADER:
        raise refuse(path.name, "too large for a tokenizer")
    found = parse_object(path.read_bytes(), path.name, strict=False)
    try:
        return _vocabulary(found, size)
    except (KeyError, TypeError, ValueError, AttributeError, LookupError) as error:
        what = f"{type(error).__name__}: {shown(str(error))}"
        raise refuse(path.name, f"not as the library `tokenizers` writes it ({what})") from error


def _vocabulary(found: Mapping[str, Any], size: int) -> Vocabulary:
    model = found.get("model", {})
    if model.get("type", "BPE") != "BPE" or not model.get("vocab"):
        kind = shown(str(model.get("type")))
        raise ToolError(f"a tokenizer of type {kind} is not supported", hint=_CONVERT)
    if model.get("byte_fallback") or _spaces(found) is not None:
        return _sentence_pieces(found, size)
    return _byte_level(found, size)


def _byte_level(found: Mapping[str, Any], size: int) -> Vocabulary:
    pre = name_of_words(found)
    others = [step.get("type") for step in steps_of(found.get("normalizer"))]
    if pre is None or any(kind != "NFC" for kind in others):
        raise ToolError("llama.cpp has no name for how this tokenizer cuts text", hint=_CONVERT)
    tokens, types = _tokens(found, size)
    # A space within a token is written as byte-level BPE writes that byte.
    merges = [" ".join(part.replace(" ", "Ġ") for part in pair) for pair in _merges(found)]
    bos, eos = _around(found)
    return Vocabulary("gpt2", tokens, types, bos, eos, merges=merges, pre=pre)


def _sentence_pieces(found: Mapping[str, Any], size: int) -> Vocabulary:
    adds_space = _spaces(found)
    if adds_space is None:
        raise ToolError("llama.cpp has no rules for the spaces of this tokenizer", hint=_CONVERT)
    tokens, types = _tokens(found, size)
    unknown = found["model"].get("unk_token") or "<unk>"
    scores = [0.0] * size
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(_merges(found)):
        ranks.setdefault(left + right, rank)
    for number, token in enumerate(tokens):
        if _BYTE.fullmatch(token):
            types[number] = TokenType.BYTE
        elif token == unknown:
            types[number] = TokenType.UNKNOWN
        elif types[number] == TokenType.USER_DEFINED and len(token) == 1 and adds_space:
            # One character is found anyway; user-defined, llama.cpp would put a space after it.
            types[number] = TokenType.NORMAL
        elif types[number] == TokenType.NORMAL and len(token) > 1:
            # The piece that is joined first has the highest score; one that no merge makes, the
            # lowest, since llama.cpp joins any two that give a piece.
            scores[number] = -float(ranks[token]) if token in ranks else _UNREACHABLE - number
    bos, eos = _around(found)
    strips = any(added.get("rstrip") for added in found.get("added_tokens") or ())
    return Vocabulary(
        "llama", tokens, types, bos, eos, scores=scores, adds_space=adds_space, strips=strips
    )


def _tokens(found: Mapping[str, Any], size: int) -> tuple[list[str], list[int]]:
    """Every token and its type, up to the size of the embedding."""
    tokens = [f"[PAD{number}]" for number in range(size)]
    types: list[int] = [TokenType.UNUSED] * size
    named: list[tuple[str, int, TokenType]] = [
        (token, number, TokenType.NORMAL) for token, number in found["model"]["vocab"].items()
    ]
    for added in found.get("added_tokens") or ():
        kind = TokenType.CONTROL if added.get("special") else TokenType.USER_DEFINED
        text = added["content"] if added.get("special") else added["content"].replace(_SPACE, " ")
        named.append((text, added["id"], kind))
    for token, number, kind in named:
        if not 0 <= number < size:
            raise ToolError(
                f"the token {shown(token)} has number {number}, of {size} embeddings",
                hint="compare tokenizer.json and config.json with those that were published",
            )
        tokens[number], types[number] = token, kind
    if len(set(tokens)) < size:
        raise ToolError("two tokens of this tokenizer have the same text", hint=_CONVERT)
    return tokens, types


def _merges(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Written as pairs by newer versions of `tokenizers`, with a space between by older ones."""
    merges = found["model"].get("merges") or []
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    if any(len(pair) != 2 for pair in pairs):
        raise ToolError("the merges of this tokenizer are not pairs", hint=_CONVERT)
    return [(left, right) for left, right in pairs]


def _spaces(found: Mapping[str, Any]) -> bool | None:
    """Whether SentencePiece's space is put before a text; None for other tokenizers."""
    before = found.get("pre_tokenizer") or {}
    steps = steps_of(found.get("normalizer"))
    kinds = [step.get("type") for step in steps]
    replaces = any(
        step.get("type") == "Replace" and step.get("content") == _SPACE for step in steps
    )
    if before.get("type") == "Metaspace" and not before.get("split") and not kinds:
        return bool(before.get("prepend_scheme", "always") != "never")
    # Gemma's Split at spaces does nothing: there are none left.
    if replaces and set(kinds) <= {"Prepend", "Replace"} and before.get("type") in (None, "Split"):
        return "Prepend" in kinds
    return None


def _around(found: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a special token stands before each text, and one after it."""
    processor = found.get("post_processor") or {}
    parts = processor.get("processors", [processor])
    templates = [part["single"] for part in parts if part.get("type") == "TemplateProcessing"]
    template: list[Mapping[str, Any]] = templates[0] if templates else []
    marks = ["SpecialToken" in part for part in template]
    if len(marks) - sum(marks) > 1 or marks.count(True) > 2:
        raise ToolError("llama.cpp cannot add these tokens around a text", hint=_CONVERT)
    return (marks[0], marks[-1]) if len(marks) > 1 else (False, False)
