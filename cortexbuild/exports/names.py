"""`org/model`, as the Hub and the programs beside it name models."""

from __future__ import annotations

import re

from ..errors import UsageError

ORGANISATION = "local"
"""Whose a model is when nobody says: not the Hub's."""
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")


def default_name(target: str) -> str:
    return f"{ORGANISATION}/{target.replace(':', '-')}"


def split_name(name: str) -> tuple[str, str]:
    """`org/name`, of what the Hub would accept."""
    org, slash, model = name.partition("/")
    parts = (org, model)
    if not slash or any(not _PART.fullmatch(p) or "--" in p or ".." in p for p in parts):
        raise UsageError(
            f"`{name}` is not a name such as `org/model`",
            hint="choose another with `--name`: letters, digits, and single `-`, `_` and `.`",
        )
    return org, model
