"""How byte-level tokenizers cut text into words: llama.cpp's names, and the patterns they mean.

The names are those of `tokenizer.ggml.pre` (llama.cpp's llama-vocab.cpp), the patterns those of
the tokenizer.json files of the models that each is named after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_ENDS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

_LLAMA3 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_ENDS}"
)
_QWEN2 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_ENDS}"
)
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_ENDS}"
)
_GPT4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_ENDS}"
)


@dataclass(frozen=True, slots=True)
class Words:
    """`pattern` None means GPT-2's own, which ByteLevel has built in, with or without single
    `digits` cut off first. `whole` words that are tokens are taken without merging, and `bos` is
    whether llama.cpp begins with that token when the file does not say.
    """

    pattern: str | None = None
    digits: bool = False
    whole: bool = False
    bos: bool = False
    composed: bool = False
    """Text is composed first (NFC), as the models themselves do. llama.cpp leaves that out."""

    def pre_tokenizer(self) -> dict[str, Any]:
        """As tokenizer.json has it."""
        level = {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": self.pattern is None,
        }
        if self.pattern is not None:
            first = {
                "type": "Split",
                "pattern": {"Regex": self.pattern},
                "behavior": "Isolated",
                "invert": False,
            }
        elif self.digits:
            first = {"type": "Digits", "individual_digits": True}
        else:
            return level
        return {"type": "Sequence", "pretokenizers": [first, level]}


_WORDS_LLAMA3 = Words(_LLAMA3, whole=True, bos=True)
_WORDS_QWEN2 = Words(_QWEN2, composed=True)
_WORDS_DIGITS = Words(digits=True)
_WORDS_GPT4O = Words(_GPT4O)

WORDS: Mapping[str, Words] = {
    "gpt-2": Words(),
    "phi-2": Words(),
    "llama-bpe": _WORDS_LLAMA3,
    "llama3": _WORDS_LLAMA3,
    "llama-v3": _WORDS_LLAMA3,
    "falcon3": _WORDS_LLAMA3,
    "smaug-bpe": Words(_LLAMA3),
    "dbrx": Words(_LLAMA3),
    "qwen2": _WORDS_QWEN2,
    "deepseek-r1-qwen": _WORDS_QWEN2,
    "megrez": _WORDS_QWEN2,
    "smollm": _WORDS_DIGITS,
    "starcoder": _WORDS_DIGITS,
    "refact": _WORDS_DIGITS,
    "tekken": Words(_TEKKEN, whole=True, bos=True),
    "gpt-4o": _WORDS_GPT4O,
    "llama4": _WORDS_GPT4O,
}
"""By `tokenizer.ggml.pre`. Names with the same meaning have the same value; the first one of
them is what we write."""

ENDS = (
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>",
    "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<eos>",
)  # fmt: skip
"""Tokens after which llama.cpp stops by their text alone, whatever else the file says."""


def name_of_words(tokenizer: Mapping[str, Any]) -> str | None:
    """llama.cpp's name for how a tokenizer.json cuts text into words; None when it has none."""
    steps = _steps(tokenizer.get("pre_tokenizer"), "pretokenizers")
    if not steps or steps[-1].get("type") != "ByteLevel" or steps[-1].get("add_prefix_space"):
        return None
    pattern, digits = None, False
    for step in steps[:-1]:
        found = step.get("pattern")
        if step.get("type") == "Digits" and step.get("individual_digits"):
            digits = True
        elif step.get("type") == "Split" and isinstance(found, Mapping) and "Regex" in found:
            pattern = found["Regex"]
        else:
            return None
    if len(steps) > 2 or (pattern is None) != bool(steps[-1].get("use_regex", True)):
        return None
    whole = bool(tokenizer["model"].get("ignore_merges"))
    for name, words in WORDS.items():
        if (words.pattern, words.digits, words.whole) == (pattern, digits, whole):
            return name
    return None


def steps_of(normalizer: object) -> list[Mapping[str, Any]]:
    """The normalizers of a tokenizer.json, one after the other."""
    return _steps(normalizer, "normalizers")


def _steps(found: object, several: str) -> list[Mapping[str, Any]]:
    if not isinstance(found, Mapping):
        return []
    inner = found.get(several)
    return list(inner) if isinstance(inner, list) else [found]
