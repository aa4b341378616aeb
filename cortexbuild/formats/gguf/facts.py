"""What a GGUF model tells of itself."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..cards import plain_text, public_name
from ..counting import is_buffer_name
from ..facts import Facts
from ..files import shard_of
from ..listing import Files, read_bytes
from ..shards import read_gguf
from .header import MAGIC, GgufHeader, quantization_name


def gguf_facts(files: Files, paths: Sequence[str], name: str) -> Facts:
    """Facts of the model in `paths`. Raises IntegrityError when a shard is damaged or missing."""
    models: dict[str, list[str]] = {}
    for path in paths:
        shard = shard_of(path)
        models.setdefault(shard.stem if shard else path, []).append(path)
    if len(models) > 1:
        reason = f"{len(models)} GGUF models are here, the first is {min(models)}: name one of them"
        return Facts(name, "unknown", reason, 0)
    if read_bytes(files, paths[0], len(MAGIC)) != MAGIC:
        reason = f"{paths[0]} is called .gguf and does not begin with `GGUF`"
        return Facts(name, "unknown", reason, 0)
    return _facts(read_gguf(files, paths), name)


def _facts(header: GgufHeader, name: str) -> Facts:
    fields, stored = header.fields, quantization_name(header)
    architecture = plain_text(fields.get("general.architecture"))
    context = fields.get(f"{architecture}.context_length")
    experts = fields.get(f"{architecture}.expert_count")
    count = sum(prod(t.shape) for t in header.tensors if not is_buffer_name(t.name))
    return Facts(
        name=name,
        format="adapter" if fields.get("general.type") == "adapter" else "gguf",
        reason=f"GGUF version {header.version}, most weights {stored}",
        size_bytes=0,
        quantization="none" if stored == "BF16" else stored,
        parameters=count or None,
        context_length=context if type(context) is int else None,
        architecture=architecture,
        experts=experts if type(experts) is int and experts > 0 else None,
        licence=plain_text(fields.get("general.license")),
        base_model=public_name(fields.get("general.base_model.0.name")),
    )
