"""What the small files beside a model's weights tell: its licence, and what it was made from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from ..errors import plain
from .adapters import base_of_adapter
from .files import CARD
from .listing import Files, read_bytes, read_object
from .settings import Settings, settings_of

_LONGEST = 1 << 16
_MARKER = re.compile(r"LoRA fine-tuned version of (.+)")
"""Cortex's own words, in the `fine_tuned.marker` that it leaves in a model's folder."""

_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(\r?\n|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Card:
    """`config` is config.json, empty when there is none (`has_config` tells)."""

    config: Mapping[str, Any]
    has_config: bool
    tokenizer: Mapping[str, Any]
    settings: Settings
    licence: str | None
    base_model: str | None
    is_fine_tuned: bool


def read_card(files: Files) -> Card:
    found = read_object(files, "config.json")
    config = found or {}
    front = _front_matter(files)
    marker = _text(files, "fine_tuned.marker")
    named = _MARKER.search(marker or "")
    bases = (
        named[1].strip() if named else None,
        config.get("base_model"),
        base_of_adapter(files),
        front.get("base_model"),
    )
    licence = config.get("license") or front.get("license")
    if licence == "other":
        licence = front.get("license_name") or licence
    gptq, awq = (read_object(files, name) for name in ("quantize_config.json", "quant_config.json"))
    return Card(
        config=config,
        has_config=found is not None,
        tokenizer=read_object(files, "tokenizer_config.json") or {},
        settings=settings_of(config, gptq or {}, awq or {}),
        licence=plain_text(licence),
        base_model=next((base for name in bases if (base := public_name(name))), None),
        is_fine_tuned=marker is not None or config.get("fine_tuned") is True,
    )


def plain_text(found: object) -> str | None:
    """Foreign text as it may be shown and hashed: one line, Unicode, at most 200 characters."""
    if not isinstance(found, str):
        return None
    line = found[:_LONGEST].encode(errors="replace").decode(errors="replace")
    return plain(" ".join(line.split())[:200]) or None


def public_name(found: object) -> str | None:
    """A model's name. Of an absolute path only the end, since the rest is another machine's."""
    name = plain_text(found)
    if name is None:
        return None
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.is_absolute() or name.startswith("~"):
            return path.name or None
    return name


def _front_matter(files: Files) -> Mapping[str, str]:
    """The plain values at the head of a README, without YAML: of a list, its only item."""
    head = _FRONT_MATTER.match(_text(files, CARD) or "")
    values: dict[str, str] = {}
    items: dict[str, list[str]] = {}
    key = ""
    for line in head[1].splitlines() if head else ():
        if item := re.fullmatch(r"\s*-\s+(.+)", line):
            items.setdefault(key, []).append(_scalar(item[1]))
        elif pair := re.fullmatch(r"(\w+):\s*(.*)", line):
            key = pair[1]
            if value := _scalar(pair[2]):
                values[key] = value
    return {**{key: one[0] for key, one in items.items() if len(one) == 1}, **values}


def _scalar(text: str) -> str:
    bare = re.sub(r"\s#.*", "", text).strip()
    return bare.strip("'\"")


def _text(files: Files, path: str) -> str | None:
    if path not in files.sizes:
        return None
    return read_bytes(files, path, _LONGEST).decode(errors="replace")
