"""The metadata of a GGUF file whose tensors are Q4_1: settings, tokens, special tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..listing import local_files, read_object
from ..tokenizer.to_gguf import Vocabulary
from .fields import Fields

_FILE_TYPE, _QUANTIZATION_VERSION = 3, 2  # MOSTLY_Q4_1; GGML_QNT_VERSION of ggml.h


def write_fields(writer: Any, fields: Fields, vocabulary: Vocabulary) -> None:
    """Settings and tokens, to a `gguf.GGUFWriter` that has written nothing yet."""
    named = {
        **fields,
        "general.type": "model",
        "general.file_type": _FILE_TYPE,
        "general.quantization_version": _QUANTIZATION_VERSION,
        "tokenizer.ggml.model": vocabulary.model,
        "tokenizer.ggml.pre": vocabulary.pre,
    }
    if vocabulary.adds_space is not None:
        named["tokenizer.ggml.add_space_prefix"] = vocabulary.adds_space
    if vocabulary.strips and fields["general.architecture"] == "phi3":
        named["general.name"] = "phi-3"  # by this name llama.cpp knows that spaces are stripped
    named.pop("general.architecture")  # the writer's own
    for key, value in named.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_string(key, value)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.scores is not None:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.merges is not None:
        writer.add_token_merges(vocabulary.merges)


def write_specials(
    writer: Any, source: Path, config: Mapping[str, Any], vocabulary: Vocabulary
) -> None:
    """Special tokens and the chat template of the model in `source`, to the same."""
    import gguf

    special = gguf.SpecialVocab(source, n_vocab=len(vocabulary.tokens))
    special.add_special_token = {"bos": vocabulary.adds_bos, "eos": vocabulary.adds_eos}
    special.add_to_gguf(writer, quiet=True)
    # Other tokens that end a turn, which llama.cpp would know by their text alone.
    generation = read_object(local_files(source), "generation_config.json") or {}
    found = generation.get("eos_token_id", config.get("eos_token_id"))
    ends = found if isinstance(found, list) else []
    others = [number for number in ends if number != special.special_token_ids.get("eos")]
    for name, number in zip(("eot", "eom"), others, strict=False):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", number)
