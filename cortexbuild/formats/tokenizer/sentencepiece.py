"""tokenizer.model, as SentencePiece has it, out of the tokenizer in a GGUF file.

The wire format and the numbers of fields are those of protobuf and of sentencepiece_model.proto
(https://github.com/google/sentencepiece). llama.cpp's converter reads this file and no other for
such a vocabulary.
"""

from __future__ import annotations

import struct

from .fields import TokenizerFields

BPE = 2
"""`TrainerSpec.ModelType`. llama.cpp's vocabularies of the kind `llama` are merged by score."""

VARINT, BYTES, FLOAT = 0, 2, 5


def sentencepiece_model(found: TokenizerFields) -> bytes:
    """The whole file. Types of tokens have the same numbers in both."""
    scores = found.find("scores")
    known = scores if isinstance(scores, tuple) and len(scores) == len(found.tokens) else None
    parts = []
    for number, (text, kind) in enumerate(zip(found.tokens, found.types, strict=True)):
        score = float(known[number]) if known is not None else 0.0
        piece = _text(1, text) + _float(2, score) + _number(3, int(kind))
        parts.append(_message(1, piece))
    ids = {40: "unknown", 41: "bos", 42: "eos", 43: "padding"}
    trainer = _number(3, BPE) + _number(4, len(found.tokens)) + _number(35, 1)
    for field, name in ids.items():
        special = found.special(name)
        trainer += _number(field, -1 if special is None else special)
    prefixed = bool(found.find("add_space_prefix", True))
    squeezed = bool(found.find("remove_extra_whitespaces", False))
    normalizer = _text(1, "identity") + _number(3, prefixed) + _number(4, squeezed) + _number(5, 1)
    return b"".join([*parts, _message(2, trainer), _message(3, normalizer)])


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers are of ten bytes
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | VARINT) + _varint(int(value))


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | FLOAT) + struct.pack("<f", value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | BYTES) + _varint(len(content)) + content
