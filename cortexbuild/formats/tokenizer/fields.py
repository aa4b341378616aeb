"""The tokenizer in the metadata of a GGUF file, as llama.cpp reads it (its llama-vocab.cpp)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from ...errors import OTHER_PUBLICATION, ToolError

START_OVER = "take the tokenizer from the Hugging Face model that the file was made of"


class TokenType(IntEnum):
    """`enum llama_token_type` of llama.h."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class TokenizerFields:
    """`tokens` and their `types` by number; `find` gives the rest of `tokenizer.ggml.*`."""

    fields: Mapping[str, object]
    tokens: Sequence[str]
    types: Sequence[int]

    def find(self, key: str, default: object = None) -> object:
        return self.fields.get(f"tokenizer.ggml.{key}", default)

    @property
    def is_sentence_pieces(self) -> bool:
        return self.find("model") == "llama"

    def special(self, name: str) -> int | None:
        """The number of "bos", "eos", "eot", "eom", "unknown" or "padding".

        For SentencePiece llama.cpp has numbers of its own where the file is silent.
        """
        usual = {"bos": 1, "eos": 2, "unknown": 0} if self.is_sentence_pieces else {}
        found = self.find(f"{name}_token_id", usual.get(name))
        return found if isinstance(found, int) and 0 <= found < len(self.tokens) else None


def tokenizer_in(fields: Mapping[str, object]) -> TokenizerFields:
    """Read from a header with all its arrays.

    Raises ToolError when there is no tokenizer, or its tokens are not Unicode or not different.
    """
    tokens, types = (fields.get(f"tokenizer.ggml.{name}") for name in ("tokens", "token_type"))
    if not isinstance(tokens, tuple):
        raise ToolError("the GGUF file has no tokenizer", hint=START_OVER)
    if not isinstance(types, tuple):
        types = (TokenType.NORMAL,) * len(tokens)
    if len(types) != len(tokens) or len(set(tokens)) != len(tokens):
        raise ToolError(
            "the tokens of the GGUF file are not one name and one type each", hint=OTHER_PUBLICATION
        )
    try:
        "".join(tokens).encode()
    except UnicodeEncodeError as error:
        raise ToolError("the GGUF file has tokens that are not Unicode", hint=START_OVER) from error
    return TokenizerFields(fields, tokens, types)
