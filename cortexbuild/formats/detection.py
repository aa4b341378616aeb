"""What a model is, by what its files hold and not by what they are called.

Headers and small files only: no tensor is read, nothing is unpickled, no code of a model runs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import IntegrityError
from .adapters import adapter_in, describe_adapter
from .cards import Card, plain_text, read_card
from .config import context_length, experts, parameters
from .counting import Survey, survey
from .facts import Facts, Format, Method
from .families import is_tied, model_type
from .files import Weights, shard_of, weights
from .gguf.facts import gguf_facts
from .gguf.header import MAGIC
from .listing import Files, local_files, read_bytes
from .npz import read_arrays
from .quantized import Tensors
from .settings import quantization_in_name
from .shards import check_shards, read_safetensors

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_PICKLED = (".bin", ".pth", ".pt")


def detect(path: Path) -> Facts:
    """Detect a folder, or a single file with its sibling shards.

    Raises IntegrityError for files that are damaged, missing or disagree, UsageError when there
    is nothing at `path`.
    """
    name = path.absolute().name
    if path.is_file():
        shard = shard_of(name)
        name = shard.stem if shard else path.stem
    return detect_files(local_files(path), name)


def detect_files(files: Files, name: str) -> Facts:
    """The same for files that may be elsewhere; `name` is what the model is called."""
    card = read_card(files)
    chosen = weights(files.sizes) or _lone_file(files)
    facts = _facts_of(files, card, chosen, name)
    return replace(
        facts,
        size_bytes=_size(files, card),
        licence=facts.licence or card.licence,
        base_model=facts.base_model or card.base_model,
        is_fine_tuned=card.is_fine_tuned,
        has_lora_adapter=adapter_in(files) is not None or facts.format == "adapter",
    )


def _facts_of(files: Files, card: Card, chosen: Weights | None, name: str) -> Facts:
    if chosen is None:
        return _without_weights(files, card, name)
    match chosen.format:
        case "safetensors":
            return _safetensors(files, card, chosen, name)
        case "npz":
            return _npz(files, card, chosen, name)
        case "gguf":
            return gguf_facts(files, chosen.files, name)
        case "pytorch":
            return _pytorch(files, card, chosen, name)


def _lone_file(files: Files) -> Weights | None:
    """A single file counts as weights whatever it is called, if it begins like weights."""
    if len(files.sizes) != 1:
        return None
    path = next(iter(files.sizes))
    start = read_bytes(files, path, 4)
    if start == MAGIC:
        return Weights("gguf", (path,))
    if path.endswith(".npz") and start == _ZIP:
        return Weights("npz", (path,))
    return Weights("pytorch", (path,)) if path.endswith(_PICKLED) else None


def _without_weights(files: Files, card: Card, name: str) -> Facts:
    if path := adapter_in(files):
        facts = _facts(name, "adapter", describe_adapter(files, path), card)
        if path.endswith(".safetensors"):
            merged = read_safetensors(files, Weights("safetensors", (path,)))
            counted = survey(merged.tensors, card.settings, tied=False)
            return replace(facts, parameters=counted.parameters)
        return replace(facts, parameters=None)
    if card.has_config:
        return _facts(name, "incomplete", "config.json is here, and no weights are", card)
    return _facts(name, "unknown", "no file of a known format is here", card)


def _safetensors(files: Files, card: Card, chosen: Weights, name: str) -> Facts:
    merged = read_safetensors(files, chosen)
    counted = _survey(merged.tensors, card, chosen)
    method = counted.method
    form: Format
    if method and method.method.startswith("mlx"):
        form, reason = "mlx", "weights are packed as MLX packs them, beside their scales"
    elif method:
        form, reason = "quantized", f"weights are packed as {method.method} packs them"
    elif merged.metadata.get("format") == "mlx":
        form, reason = "mlx", "the safetensors metadata says `format: mlx`"
    elif card.settings.method == "mlx":
        form, reason = "mlx", "config.json has MLX's `quantization`"
    else:
        form, reason = "safetensors", "safetensors files with plain weights"
    return _counted(_facts(name, form, reason, card), counted, merged.warnings)


def _npz(files: Files, card: Card, chosen: Weights, name: str) -> Facts:
    path = chosen.files[0]
    with files.open(path) as stream:
        arrays: Tensors = read_arrays(stream, path)
    counted = _survey(arrays, card, chosen)
    warnings = () if card.has_config else ("there is no config.json beside the weights",)
    facts = _facts(name, "mlx", f"{path} is MLX's first format", card)
    return _counted(facts, counted, warnings)


def _survey(tensors: Tensors, card: Card, chosen: Weights) -> Survey:
    try:
        return survey(tensors, card.settings, tied=is_tied(card.config))
    except IntegrityError as error:  # it knows of tensors, and not of files
        raise IntegrityError(f"{chosen.files[0]}: {error}", hint=error.hint) from error


def _pytorch(files: Files, card: Card, chosen: Weights, name: str) -> Facts:
    check_shards(chosen.files)
    for path in chosen.files:
        start = read_bytes(files, path, 4)
        if start != _ZIP and start[:1] != _PICKLE:
            reason = f"{path} is called like PyTorch weights and does not begin like them"
            return _facts(name, "unknown", reason, card)
    said, reason = card.settings, f"{chosen.files[0]} is a PyTorch file; it was not opened"
    if said.method in (None, "mlx"):
        plain = _facts(name, "pytorch", reason, card)
        return replace(plain, quantization=quantization_in_name(name) or "none")
    method = Method(said.method, said.bits, said.group_size, said.symmetric, said.act_order)
    facts = _facts(name, "quantized", f"{reason}; config.json says {said.method}", card)
    return replace(facts, quantization=method.quantization, method=method)


def _facts(name: str, form: Format, reason: str, card: Card) -> Facts:
    """With all that the config tells, and nothing of the weights."""
    return Facts(
        name=name,
        format=form,
        reason=reason,
        size_bytes=0,
        parameters=parameters(card.config),
        context_length=context_length(card.config, card.tokenizer),
        architecture=plain_text(model_type(card.config)),
        experts=experts(card.config),
    )


def _counted(facts: Facts, counted: Survey, warnings: tuple[str, ...]) -> Facts:
    """Headers are exact; a config's word is taken where they cannot be counted."""
    return replace(
        facts,
        quantization=counted.method.quantization if counted.method else "none",
        method=counted.method,
        parameters=counted.parameters or facts.parameters,
        warnings=warnings + counted.warnings,
    )


def _size(files: Files, card: Card) -> int:
    """As Cortex counts: all files, but no caches, and no checkpoints of a finished fine-tuning."""
    skipped = "_adapters.safetensors"
    return sum(
        size
        for path, size in files.sizes.items()
        if not {".cache", ".git"} & set(path.split("/"))
        and not (card.is_fine_tuned and path.endswith(skipped))
    )
