"""Which files of a model repository matter, by their names alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

WeightFormat = Literal["safetensors", "pytorch", "npz", "gguf"]

ADAPTERS = (
    "adapter.safetensors",
    "adapters.safetensors",
    "adapter_model.safetensors",
    "adapters.npz",
    "adapter_model.bin",
)
"""What Cortex, mlx-lm and PEFT call an adapter's weights, and the older names of the last two."""

CARD = "README.md"
"""A model card, whose head names a licence: detection reads it, and no step does."""

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.\w+)")
_PYTORCH = re.compile(r"pytorch_model.*\.(bin|pth|pt)")
_OTHER_STATE = re.compile(
    r"((optimizer|scheduler|scaler|training_args|rng_state|trainer_state)[._-]|mmproj).*"
    r"|.*_adapters\.safetensors"
)
"""What training leaves beside a model, and the eyes of one that sees."""

_TOLD = re.compile(
    r"config.*\.json|generation_config\.json|params\.json"
    r"|quant(ize)?_config\.json|hf_quant_config\.json"
    r"|tokenizer[\w.-]*\.(json|model|txt)|tokenizer\.model\.v\d+\w*|tekken\.json"
    r"|vocab\.(json|txt)|merges\.txt|added_tokens\.json|special_tokens_map\.json"
    r"|spiece\.model|sentencepiece.*\.model|[^.].*\.tiktoken"
    r"|chat_template\.json|[^.].*\.jinja|(\w+_)?(pre)?processor_config\.json"
    r"|adapter_config\.json|fine_tuned\.marker"
)
"""Configuration and tokenizers, at the top of a repository."""

_NOTICE = re.compile(
    r"(third[_-]?party[_-])?(licen[cs]es?|notices?|copying|(acceptable[_-])?use[_-]policy)"
    r"([^a-z/][^/]*)?",
    re.IGNORECASE,
)
"""The text of a licence, and what it asks to be told; at the top of a repository."""

LARGEST_NOTICE = 1 << 20
"""Bytes. Who has a licence to read reads less."""

_TEMPLATE_FOLDERS = ("chat_templates", "additional_chat_templates")


@dataclass(frozen=True, slots=True)
class Weights:
    """The files that hold one model's weights, and the index that lists its shards, if any."""

    format: WeightFormat
    files: tuple[str, ...]
    index: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """`stem-00001-of-00003.suffix`, read."""

    stem: str
    number: int
    count: int
    suffix: str

    def sibling(self, number: int) -> str:
        return f"{self.stem}-{number:05}-of-{self.count:05}{self.suffix}"


def shard_of(path: str) -> Shard | None:
    found = _SHARD.fullmatch(path)
    if not found:
        return None
    return Shard(found["stem"], int(found["number"]), int(found["count"]), found["suffix"])


def model_files(paths: Iterable[str]) -> list[str]:
    """The relative paths that a build needs, sorted: weights in one format, and what tells of them.

    A single path is taken as it is: whoever names one file means it.
    """
    found = sorted(set(paths))
    if len(found) == 1:
        return found
    chosen = weights(found)
    needed = set(chosen.files) if chosen else set()
    if chosen and chosen.index:
        needed.add(chosen.index)
    needed.update(path for path in found if _is_told(path) or path in ADAPTERS)
    return sorted(needed)


def notice_files(paths: Iterable[str]) -> list[str]:
    """The texts of a model's licence, sorted: they go where the model goes. Of names that differ
    only in case the first, since not every file system keeps them apart."""
    found: dict[str, str] = {}
    for path in sorted(paths):
        if _NOTICE.fullmatch(path):
            found.setdefault(path.lower(), path)
    return sorted(found.values())


def weights(paths: Iterable[str]) -> Weights | None:
    """The weights to build from: in full precision before GGUF, safe to read before pickled.

    Adapters are not weights. Weights in Meta's or Mistral's own layout (`consolidated`,
    `original/`) count only where there are no others.
    """
    present = frozenset(paths)
    visible = sorted(path for path in present if _is_candidate(path))
    top = [path for path in visible if "/" not in path and not path.startswith("consolidated")]
    options: tuple[tuple[WeightFormat, list[str]], ...] = (
        ("safetensors", _best([path for path in top if path.endswith(".safetensors")])),
        ("pytorch", [path for path in top if _PYTORCH.fullmatch(path)]),
        ("npz", [path for path in top if path == "weights.npz"]),
        ("gguf", [path for path in visible if path.lower().endswith(".gguf")]),
        ("safetensors", _consolidated(visible, ".safetensors")),
        ("pytorch", _consolidated(visible, ".pth")),
    )
    form, files = next((option for option in options if option[1]), ("gguf", []))
    return Weights(form, tuple(files), _index(files, present)) if files else None


def _best(files: Sequence[str]) -> list[str]:
    """Of several sets of safetensors, the one that transformers would load."""
    if "model.safetensors" in files:
        return ["model.safetensors"]
    sharded = [path for path in files if shard_of(path)]
    return [path for path in sharded if path.startswith("model-")] or sharded or list(files)


def _consolidated(visible: Sequence[str], suffix: str) -> list[str]:
    found = [path for path in visible if path.endswith(suffix)]
    found = [path for path in found if PurePosixPath(path).name.startswith("consolidated")]
    return [path for path in found if "/" not in path] or found


def _index(files: Sequence[str], present: frozenset[str]) -> str | None:
    shard = shard_of(files[0])
    name = (f"{shard.stem}{shard.suffix}" if shard else files[0]) + ".index.json"
    return name if name in present else None


def _is_candidate(path: str) -> bool:
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith(".") for part in parts)
    return not hidden and parts[-1] not in ADAPTERS and not _OTHER_STATE.fullmatch(parts[-1])


def _is_told(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    if folder:
        return folder in _TEMPLATE_FOLDERS and name.endswith(".jinja")
    return bool(_TOLD.fullmatch(name))
