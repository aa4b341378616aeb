"""The files of a tokenizer, as transformers has them, out of the metadata of a GGUF file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..beside import write_json
from ..gguf.header import read_header
from .as_json import tokenizer_json
from .fields import TokenizerFields, tokenizer_in
from .sentencepiece import sentencepiece_model
from .tables import ENDS


def write_tokenizer(path: Path, out: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json, the chat templates and generation_config.json,
    and tokenizer.model where the vocabulary is one of SentencePiece.

    Raises ToolError when the file has no tokenizer, or one that these cannot express.
    """
    found = tokenizer_in(read_header(path, keep_arrays=True).fields)
    text = json.dumps(tokenizer_json(found), ensure_ascii=False, indent=1)
    (out / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    if found.is_sentence_pieces:
        (out / "tokenizer.model").write_bytes(sentencepiece_model(found))
    write_json(out / "tokenizer_config.json", tokenizer_config(found))
    write_json(out / "generation_config.json", generation_config(found))
    for name, template in _templates(found.fields).items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(template, encoding="utf-8")


def tokenizer_config(found: TokenizerFields) -> dict[str, Any]:
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    special = {f"{name}_token": found.special(key) for name, key in names.items()}
    architecture = found.fields.get("general.architecture")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",  # takes tokenizer.json as it is
        **{name: found.tokens[number] for name, number in special.items() if number is not None},
        "clean_up_tokenization_spaces": False,
        "model_max_length": found.fields.get(f"{architecture}.context_length"),
    }


def generation_config(found: TokenizerFields) -> dict[str, Any]:
    """With all the tokens after which llama.cpp stops: those the file names, and those in ENDS."""
    ends = {number for number, text in enumerate(found.tokens) if text in ENDS}
    named = (found.special(name) for name in ("eos", "eot", "eom"))
    ends.update(number for number in named if number is not None)
    special = {"bos_token_id": found.special("bos"), "pad_token_id": found.special("padding")}
    config: dict[str, Any] = {name: it for name, it in special.items() if it is not None}
    return {**config, "eos_token_id": sorted(ends)} if ends else config


def _templates(fields: Mapping[str, object]) -> dict[str, str]:
    """By the path of the file where transformers looks for them."""
    prefix, found = "tokenizer.chat_template", {}
    for key, template in fields.items():
        if not isinstance(template, str):
            continue
        if key == prefix:
            found["chat_template.jinja"] = template
        elif key.startswith(f"{prefix}."):
            name = "".join(c if c.isalnum() or c in "-_" else "_" for c in key[len(prefix) + 1 :])
            found[f"additional_chat_templates/{name}.jinja"] = template
    return found
