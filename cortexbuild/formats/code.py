"""Code that a model brings along: which files, and what asks for them. None is run here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from .listing import Files, read_object

ASKING = ("config.json", "tokenizer_config.json")
"""Where transformers looks for the names of a model's own classes, under `auto_map`."""

ELSEWHERE = "--"
"""Stands in such a name between another repository and the class: `org/name--modeling.Model`."""


def code_files(files: Files) -> list[str]:
    """The Python files of a model that asks for some to be run, sorted; none of any other."""
    found = sorted(path for path in files.sizes if path.endswith(".py") and not _is_hidden(path))
    return found if found and any(True for _ in asked_for(files)) else []


def asked_for(files: Files) -> Iterator[str]:
    """The names of classes, such as `modeling_x.Model`, that a model's configurations give."""
    for path in ASKING:
        named = (read_object(files, path) or {}).get("auto_map")
        yield from _names(named)


def _names(value: object) -> Iterator[str]:
    """Of a tokenizer there may be two, a slow and a fast one, and either may be null."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _names(item)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(path).parts)
