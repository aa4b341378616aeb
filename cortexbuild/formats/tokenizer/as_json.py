"""A tokenizer.json that gives the ids which llama.cpp gives.

What llama.cpp does to text is in its llama-vocab.cpp; how the file is read, in the library
`tokenizers`. A tokenizer that cannot be told exactly is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import OTHER_PUBLICATION, ToolError
from .fields import START_OVER, TokenizerFields, TokenType
from .tables import WORDS

_SPACE = "▁"
_UNSTRIPPED = ("<unk>", "<s>", "<|endoftext|>")


def tokenizer_json(found: TokenizerFields) -> dict[str, Any]:
    """Raises ToolError for a kind of tokenizer, or a way to cut words, that is not known here."""
    _refuse_overruled(found)
    match found.find("model"):
        case "gpt2":
            parts, bos = _byte_level(found)
        case "llama":
            parts, bos = _sentence_pieces(found), True
        case other:
            raise ToolError(f"tokenizers of the kind {other!r} are not supported", hint=START_OVER)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(found),
        **parts,
        "post_processor": _post_processor(found, bos=bos),
    }


def merges_of(scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """Which neighbours to join, the best first, so that pieces come out as by their scores.

    Two ways to the same piece have the same score; `tokenizers` needs an order, llama.cpp takes
    the one further left. The order is that of the pieces, and then of the shorter beginning.
    """
    found = [
        (-score, number, piece[:cut], piece[cut:])
        for number, (piece, score) in enumerate(scores.items())
        for cut in range(1, len(piece))
        if piece[:cut] in scores and piece[cut:] in scores
    ]
    found.sort(key=lambda merge: merge[:2])
    return [(left, right) for _, _, left, right in found]


def _refuse_overruled(found: TokenizerFields) -> None:
    """transformers takes Qwen2's own rules for each model of that type, whatever its files say."""
    words = WORDS.get(str(found.find("pre")))
    if found.fields.get("general.architecture") == "qwen2" and words != WORDS["qwen2"]:
        raise ToolError(
            "a qwen2 model with another tokenizer than Qwen2's is not supported",
            hint=OTHER_PUBLICATION,
        )


def _byte_level(found: TokenizerFields) -> tuple[dict[str, Any], bool]:
    name, merges = found.find("pre"), found.find("merges")
    if name not in WORDS:
        known = f"known are {', '.join(WORDS)}"
        raise ToolError(
            f"how {name!r} cuts text into words is not known here; {known}", hint=OTHER_PUBLICATION
        )
    if not isinstance(merges, tuple):
        raise ToolError("the GGUF file has no merges", hint=START_OVER)
    words = WORDS[str(name)]
    level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}
    return {
        "normalizer": {"type": "NFC"} if words.composed else None,
        "pre_tokenizer": words.pre_tokenizer(),
        "decoder": {**level, "use_regex": True},
        "model": _model(found, [_pair(merge) for merge in merges], ignore_merges=words.whole),
    }, words.bos


def _pair(merge: str) -> tuple[str, str]:
    # llama.cpp looks for the space from the second character on.
    place = merge.find(" ", 1)
    return merge[:place], merge[place + 1 :]


def _sentence_pieces(found: TokenizerFields) -> dict[str, Any]:
    scores = found.find("scores")
    if not isinstance(scores, tuple) or len(scores) != len(found.tokens):
        raise ToolError("the GGUF file has no scores of its tokens", hint=START_OVER)
    pieces = {
        text: score
        for text, kind, score in zip(found.tokens, found.types, scores, strict=True)
        if kind == TokenType.NORMAL
    }
    unknown = found.special("unknown")
    # llama.cpp puts the space before each stretch of text between special tokens, whatever it
    # begins with: Prepend does so, and Metaspace would not before a space.
    prefixed = found.find("add_space_prefix", True)
    spaces = [{"type": "Prepend", "prepend": _SPACE}] if prefixed else []
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefixed else []
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    back = {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "}
    decoders = [back, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip]
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*spaces, replace]},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": _model(
            found, merges_of(pieces), byte_fallback=TokenType.BYTE in found.types, fuse_unk=True,
            unk_token=found.tokens[unknown] if unknown is not None else None,
        ),
    }  # fmt: skip


def _model(
    found: TokenizerFields, merges: Sequence[tuple[str, str]], **settings: object
) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        **settings,
        # Special tokens too: those that are missing here would get other numbers.
        "vocab": {text: number for number, text in enumerate(found.tokens)},
        "merges": [list(pair) for pair in merges],
    }


def _added(found: TokenizerFields) -> list[dict[str, Any]]:
    """The tokens that are found in the text before anything else is done to it."""
    name = str(found.fields.get("general.name", "")).lower()
    strips = "phi-3" in name or "phi3" in name  # the one family where llama.cpp does so, by name
    return [
        {
            "id": number,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": strips and text not in _UNSTRIPPED,
            "normalized": False,
            "special": kind != TokenType.USER_DEFINED,
        }
        for number, (text, kind) in enumerate(zip(found.tokens, found.types, strict=True))
        if kind in (TokenType.UNKNOWN, TokenType.CONTROL, TokenType.USER_DEFINED)
    ]


def _post_processor(found: TokenizerFields, *, bos: bool) -> dict[str, Any] | None:
    """The special tokens around a text. A pair of texts is one after the other, each like that."""
    numbers: dict[str, int] = {}
    for name, usual in (("bos", bos), ("eos", False)):
        if found.find(f"add_{name}_token", usual):
            if (number := found.special(name)) is None:
                raise ToolError(
                    f"the GGUF file adds its {name} to each text and does not name it",
                    hint=OTHER_PUBLICATION,
                )
            numbers[name] = number
    if not numbers:
        return None
    texts = {name: found.tokens[number] for name, number in numbers.items()}

    def around(text: str, kind: int) -> list[dict[str, Any]]:
        marks = {
            name: {"SpecialToken": {"id": token, "type_id": kind}} for name, token in texts.items()
        }
        middle = {"Sequence": {"id": text, "type_id": kind}}
        parts = (marks.get("bos"), middle, marks.get("eos"))
        return [part for part in parts if part is not None]

    return {
        "type": "TemplateProcessing",
        "single": around("A", 0),
        "pair": [*around("A", 0), *around("B", 1)],
        "special_tokens": {
            texts[name]: {"id": texts[name], "ids": [number], "tokens": [texts[name]]}
            for name, number in numbers.items()
        },
    }
